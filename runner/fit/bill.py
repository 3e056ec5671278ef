"""
What a simulated training holds at the peak of each phase, by category.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainwatch.runner.fit.trace import Trace

CATEGORIES = (
    "weights_trainable",
    "weights_frozen",
    "gradients",
    "exp_avg",
    "exp_avg_sq",
    "optimizer_other",
    "activations_and_other",
)
"""The names of the ledger in `show --json`; frozen weights hold the buffers too."""

REST = CATEGORIES[-1]
SETUP = "setup"


@dataclass(frozen=True)
class Peak:
    """
    The most bytes of tensors that live at once in a phase of a step, and whose they
    are. A gradient or a piece of optimizer state is one from its allocation on.
    """

    step: int
    phase: str
    bytes: int
    bill: Mapping[str, int]


def phase_name(step: int, phase: str) -> str:
    """
    How a border in a trace is called: "step 2 backward".
    """
    return f"step {step} {phase}"


def peaks(trace: Trace, labels: Mapping[int, str]) -> list[Peak]:
    """
    One per phase and step in order of first coming; micro-steps are taken together.

    Args:
        labels: the category of a storage; one without is the rest.
    """
    live = dict.fromkeys(CATEGORIES, 0)
    total = 0
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for name, moves in trace.phases():
        most, bill = found.get(name, (-1, {}))
        if total > most:
            most, bill = total, dict(live)
        for storage, size, sign in moves:
            live[labels.get(storage, REST)] += sign * size
            total += sign * size
            if total > most:
                most, bill = total, dict(live)
        found[name] = (most, bill)
    return [
        Peak(int(words[1]), words[2], most, bill)
        for name, (most, bill) in found.items()
        if (words := name.split(" "))[0] == "step"
    ]


def highest(found: list[Peak]) -> Peak:
    """
    The first of the highest ones.
    """
    return max(found, key=lambda peak: peak.bytes)
