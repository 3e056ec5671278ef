"""
How long things take: sums, the last ones, and what is usual in this run.
"""

from __future__ import annotations

import statistics

from trainwatch.runner.state import PhaseStat

EARLY = 8
"""Durations kept of the beginning, to tell that it has become slower."""
RECENT = 64
"""Durations kept per phase for its median and 95th percentile."""
SERIES_POINTS = 512


def usual(stat: PhaseStat | None) -> float | None:
    """The median duration of a phase in this run, or None before it has one."""
    return statistics.median(stat.recent) if stat and stat.recent else None


def percentile(values: tuple[float, ...], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def add_duration(
    stat: PhaseStat | None, seconds: float, count: int, warm_up: int, clock: str
) -> PhaseStat:
    """`stat` after `count` more runs that took `seconds` together."""
    stat = stat or PhaseStat()
    each = seconds / count if count else 0.0
    recent, early = stat.recent, stat.early
    if count and stat.count >= warm_up:
        recent = (*recent[-RECENT + 1 :], each)
        if len(early) < EARLY:
            early = (*early, each)
    return PhaseStat(
        count=stat.count + count,
        total_s=stat.total_s + seconds,
        last_s=each if count else stat.last_s,
        recent=recent,
        early=early,
        first=stat.first if stat.count else each,
        clock=clock,
    )


def thin(
    points: tuple[tuple[int, float], ...], most: int = SERIES_POINTS
) -> tuple[tuple[int, float], ...]:
    """At most `most` points: the older half loses every second one."""
    if len(points) <= most:
        return points
    half = len(points) // 2
    return (*points[:half:2], *points[half:])
