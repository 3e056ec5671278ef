"""
A step that has ended, and the sum of several that were fast.
"""

from __future__ import annotations

from typing import Dict, List

from .events import StepEnded


class Steps:
    """One step, or the sum of several fast ones."""

    __slots__ = (
        "count",
        "micro_steps",
        "phases",
        "seconds",
        "skipped",
        "step",
        "tokens",
    )

    def __init__(
        self,
        step: int,
        micro_steps: int,
        seconds: float,
        phases: Dict[str, List[float]],
        tokens: int,
        skipped: bool,
    ) -> None:
        self.step = step
        self.count = 1
        self.micro_steps = max(1, micro_steps)
        self.seconds = seconds
        self.phases = phases
        self.tokens = tokens
        self.skipped = skipped

    def add(
        self,
        step: int,
        micro_steps: int,
        seconds: float,
        phases: Dict[str, List[float]],
        tokens: int,
        skipped: bool,
    ) -> None:
        mine = self.phases
        for name, pair in phases.items():
            total = mine.get(name)
            if total is None:
                mine[name] = pair
            else:
                total[0] += pair[0]
                total[1] += pair[1]
        self.step = step
        self.count += 1
        self.micro_steps += max(1, micro_steps)
        self.seconds += seconds
        self.tokens += tokens
        self.skipped = self.skipped or skipped

    def body(self) -> StepEnded:
        """The event; its phases add up to its seconds to the microsecond."""
        phases = {
            name: [pair[0], round(pair[1], 6)] for name, pair in self.phases.items()
        }
        return StepEnded(
            step=self.step,
            count=self.count,
            micro_steps=self.micro_steps,
            seconds=round(sum(pair[1] for pair in phases.values()), 6),
            phases=phases,
            tokens=self.tokens or None,
            skipped=self.skipped,
        )
