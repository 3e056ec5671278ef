"""What the metrics show is part of the headline."""

from __future__ import annotations

import math

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Finding

METRICS = "metrics."
"""How the rules of such findings begin."""


def failing(sight: Sight) -> Cause | None:
    """A serious finding from the metrics stands."""
    standing = [
        finding
        for finding in sight.state.findings.values()
        if finding.cleared is None
        and finding.severity == "serious"
        and finding.rule.startswith(METRICS)
    ]
    if not standing:
        return None
    first = min(standing, key=_order)
    lead = sight.state.lead
    nan = [
        name
        for name, value in (lead.metrics if lead else {}).items()
        if not math.isfinite(value)
    ]
    kind, summary = first.kind or "numeric", first.summary
    if nan and kind == "data":
        # transformers logs a loss that is nan as 0.
        kind, summary = "numeric", f"{nan[0]} is nan; {summary}"
    more = f" (and {len(standing) - 1} more)" if len(standing) > 1 else ""
    return Cause(
        "failing",
        kind,
        "likely",
        (f"{summary}{more}", "; ".join(first.evidence) or "by the metrics"),
        first.do,
        first.since,
    )


def _order(finding: Finding) -> tuple[bool, float]:
    """Numbers that are none before the rest, then the oldest."""
    return "not-finite" not in finding.rule, finding.since
