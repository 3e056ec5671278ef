"""What the metrics show is part of the headline."""

from __future__ import annotations

import math

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Finding

METRICS = "metrics."
"""How the rules of such findings begin."""
LOSS_ZERO = "metrics.loss-zero"


def failing(sight: Sight) -> Cause | None:
    """A serious finding from the metrics stands."""
    lead = sight.state.lead
    nan = lead is not None and any(not math.isfinite(v) for v in lead.metrics.values())
    standing = [
        finding
        for finding in sight.state.findings.values()
        if finding.cleared is None
        and finding.severity == "serious"
        and finding.rule.startswith(METRICS)
        # transformers logs a loss that is nan as 0: that is a nan, and one is nothing.
        and not (nan and finding.rule == LOSS_ZERO)
    ]
    if not standing:
        return None
    first = min(standing, key=_order)
    more = f" (and {len(standing) - 1} more)" if len(standing) > 1 else ""
    return Cause(
        "failing",
        first.kind or "numeric",
        "likely",
        (f"{first.summary}{more}", "; ".join(first.evidence) or "by the metrics"),
        first.do,
        first.since,
    )


def _order(finding: Finding) -> tuple[bool, float]:
    """Numbers that are none before the rest, then the oldest."""
    return "not-finite" not in finding.rule, finding.since
