"""
Steps that have ended, as sums that only grow: an event is the difference of two.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

from .events import PHASES, STEP_PHASES, StepEnded
from .flight import NUMBER

BASE = NUMBER["step"]
"""What no phase of a step claims; its time is told as `other`."""
_NAMED: List[Tuple[str, int]] = [
    (name, BASE if name == "other" else NUMBER[name]) for name in STEP_PHASES
]


class Ended(NamedTuple):
    """
    All that had been when a step ended. Lists are by phase number; they grow with
    the names of the user's own phases. Times are nanoseconds.
    """

    steps: int
    step: int
    micro_steps: int
    tokens: int
    skipped: int
    spent: List[int]
    counts: List[int]


def between(before: Ended, after: Ended, names: List[str]) -> StepEnded:
    """The steps from `before` to `after`, as one event; `names` are by number."""
    phases: Dict[str, List[float]] = {}
    total = 0.0
    first = len(before.spent)
    own = [(names[n], n) for n in range(len(PHASES), len(after.spent))]
    for name, number in own + _NAMED:
        spent, count = after.spent[number], after.counts[number]
        if number < first:
            spent -= before.spent[number]
            count -= before.counts[number]
        seconds = round(spent / 1e9, 6)
        if name == "other":
            count = 1
        if count or seconds > 0:
            phases[name] = [max(1, count), max(0.0, seconds)]
            total += phases[name][1]
    steps = after.steps - before.steps
    return StepEnded(
        step=after.step,
        count=steps,
        micro_steps=max(steps, after.micro_steps - before.micro_steps),
        seconds=round(total, 6),
        phases=phases,
        tokens=after.tokens - before.tokens or None,
        skipped=after.skipped > before.skipped,
    )
