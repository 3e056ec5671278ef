"""
What a metric's last logs say: how long something holds, how far a value stands out.

A curve is (step, value), oldest first, as `Process.recent` keeps it: whole, but with
old points left out. Pure.
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
    """The logs of `metric` in this training; nothing where it was not logged."""
    return process.recent.get(metric, ())


def streak(points: Curve, holds: Callable[[float], bool]) -> Curve:
    """The newest logs, without a gap, for which `holds` is true."""
    start = len(points)
    while start and holds(points[start - 1][1]):
        start -= 1
    return points[start:]


def before(points: Curve, held: Curve) -> float | None:
    """The value just before `held`, the end of `points`; None where it was left out."""
    if not held or len(held) == len(points):
        return None
    step, value = points[-len(held) - 1]
    apart = held[-1][0] - held[-2][0] if len(held) > 1 else math.inf
    return value if held[0][0] - step <= 4 * max(1, apart) else None


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
        for name in process.recent
    )
