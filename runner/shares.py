"""
Where the time of a training goes: shares of all steps and of what runs between them,
the first step left out. Pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from trainwatch.runner.phases import PARTS
from trainwatch.runner.state import PhaseStat, Process

BETWEEN = ("evaluate", "save", "generate", "log")
LEAST_STEPS = 3
NAMES = {
    "fetch": "input",
    "reference": "forward",
    "loss": "forward",
    "clip": "optimizer",
}
"""Parts that a person counts together; the others go by their own names."""


def shares(process: Process) -> Mapping[str, float]:
    """
    Share -> part of the time, adding up to 1: input, forward, backward, optimizer,
    other, a user's own, and evaluate, save, generate, log. Empty before there are
    enough steps.
    """
    steps = process.phases.get("step")
    if steps is None or len(steps.recent) < LEAST_STEPS:
        return {}
    each = _weighed(process)
    total = sum(each.values())
    if total <= 0:
        return {}
    return {name: seconds / total for name, seconds in each.items() if seconds > 0}


def _weighed(process: Process) -> dict[str, float]:
    """Seconds of each part, the warm-up counted as one more usual time."""
    found: dict[str, float] = {}
    for name, stat in process.phases.items():
        if name in process.steps.last_phases or name in PARTS:
            seconds = _without_first(stat)
        elif name in BETWEEN:
            seconds = stat.total_s
        else:
            continue
        name = NAMES.get(name, name)
        found[name] = found.get(name, 0.0) + seconds
    return found


def _without_first(stat: PhaseStat) -> float:
    if not stat.recent or stat.first is None:
        return stat.total_s
    return max(0.0, stat.total_s - stat.first + statistics.median(stat.recent))
