"""
What a metric's last logs say: how long something holds, how far a value stands out.

A curve is (step, value), oldest first, as `Process.recent` keeps it. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from trainwatch.runner.state import Process

Curve = tuple[tuple[int, float], ...]

MAD_TO_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median deviation."""


def curve(process: Process, metric: str) -> Curve:
    """The last logs of `metric`; nothing where it was never logged."""
    known = process.recent.get(metric)
    if known:
        return known
    value = process.metrics.get(metric)
    return () if value is None else ((process.step or 0, value),)


def streak(points: Curve, holds: Callable[[float], bool]) -> Curve:
    """The newest logs, without a gap, for which `holds` is true."""
    start = len(points)
    while start and holds(points[start - 1][1]):
        start -= 1
    return points[start:]


def is_zero(value: float) -> bool:
    return value == 0


def not_finite(value: float) -> bool:
    return not math.isfinite(value)


def threshold(values: list[float], sigmas: float, share: float) -> float:
    """
    What a value must exceed to stand out of `values`.

    Robust: the median, plus the larger of `sigmas` standard deviations by the
    median absolute deviation and `share` of the median itself.
    """
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    return middle + max(sigmas * MAD_TO_SIGMA * spread, share * abs(middle))


def has_rewards(process: Process) -> bool:
    """
    True for reinforcement learning, whose loss is near zero by construction.

    DPO logs `rewards/…` too, and has a real loss.
    """
    return any(
        name in ("reward", "frac_reward_zero_std") or name.startswith("completions/")
        for name in process.metrics
    )
