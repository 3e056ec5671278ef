"""
What our hooks cost a step, by their own clock.

Timing every call would cost as much as the calls. So the first steps are timed,
then one in EVERY; the rest run with the meter off.
"""

from __future__ import annotations

from typing import Optional

from .guard import Meter

FIRST = 16
EVERY = 64


class StepCost:
    """
    Args:
        meter: the meter of this process's hooks.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._steps = 0
        self._timed = 0
        self._seconds = 0.0
        self._mark: Optional[float] = None

    def begin(self) -> None:
        """Training begins; its first step, where we describe and measure, is
        left out."""
        self._steps = 0
        self._mark = None
        self._meter.on = True

    def step_ended(self) -> None:
        """A step has ended: settle it, and choose whether to time the next."""
        meter = self._meter
        if self._mark is not None:
            self._timed += 1
            self._seconds += meter.seconds - self._mark
        self._steps += 1
        meter.on = self._timed < FIRST or self._steps % EVERY == 0
        self._mark = meter.seconds if meter.on else None

    @property
    def mean(self) -> Optional[float]:
        """Seconds a step, None before one was timed."""
        return self._seconds / self._timed if self._timed else None
