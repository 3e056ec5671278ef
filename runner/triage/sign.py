"""A sign: one finding of our own from the metrics of a run, with its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainwatch.runner.triage.curves import Curve

SOON = 2
"""Logs in a row after which something that should not last is told."""
LASTING = 5
"""Logs in a row after which it is taken as lasting."""
EXACT = 64
"""Logs that are kept as they came; of older ones some are left out."""


@dataclass(frozen=True)
class Sign:
    """One finding that stands now."""

    rule: str
    severity: str
    kind: str
    summary: str
    why: str
    do: str
    evidence: tuple[str, ...]
    """The numbers, newest last."""
    first_step: int | None = None
    last_step: int | None = None
    count: int = 1
    """Logs, or calls, in which it was so."""
    metric: str = ""
    """What has to be looked at to see that it is over."""
    line: float = math.inf
    """Where the metric has to come below before it is over."""
    stuck: float | None = None
    """The value that it has to leave before it is over."""


def times(points: Curve) -> str:
    if len(points) > EXACT:
        return f"more than {EXACT} logs in a row"
    return "1 log" if len(points) == 1 else f"{len(points)} logs in a row"


def held(what: str, points: Curve) -> str:
    first, last = points[0][0], points[-1][0]
    steps = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return f"{what} in {times(points)} ({steps})"


def span(points: Curve) -> tuple[int | None, int | None, int]:
    if not points:
        return None, None, 1
    return points[0][0], points[-1][0], len(points)
