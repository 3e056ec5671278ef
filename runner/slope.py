"""
Whether memory rises towards its limit, and when it will be there.

Pure: levels of one process in, a trend out, or None for a run that is flat, has a
few points only, or has stopped rising. A heuristic: a line through what was sampled,
which knows nothing of what allocates.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from trainwatch.runner.state import Host, Level, Memory, Process

POINTS = 256
"""Levels that are kept of a process; of older ones every second is left out."""
WARM_UP = 2
"""Steps before which nothing is judged: gradients and optimizer state are born."""
LEAST = 10
"""Bins without which there is no trend."""
BINS = 24
AGREE = 0.9
"""Kendall's tau from which the levels are taken to rise together."""
LEAST_RISE = 0.02
"""Share of the level that the rise has to be."""
LEAST_BYTES = 32_000_000
NOISE = 6.0
"""Times the rise has to be the scatter around the line."""


@dataclass(frozen=True)
class Trend:
    """A level that rises."""

    per_unit: float
    """Bytes for each step, or each batch of an evaluation."""
    unit: str
    now: int
    """Where the line is, in bytes."""
    at: float
    """The step or batch of `now`."""
    limit: int | None
    limit_by: str
    meets: float | None
    """The step or batch at which the line meets the limit."""

    @property
    def left(self) -> float | None:
        return None if self.meets is None else max(0.0, self.meets - self.at)


def add(
    levels: tuple[Level, ...], memory: Memory, step: int | None, rows: int | None
) -> tuple[Level, ...]:
    """With the level that was sampled in `step`, `rows` into an evaluation."""
    held = level(memory)
    if held is None or step is None:
        return levels
    levels = (*levels, Level(step, rows, held))
    if len(levels) <= POINTS:
        return levels
    half = POINTS // 2
    return (*levels[:-half][::2], *levels[-half:])


def level(memory: Memory) -> int | None:
    """What counts against the limit that is met first."""
    if memory.allocated is not None:
        return memory.allocated
    if memory.budget_by == "RLIMIT_AS":
        return memory.reserved
    return memory.rss


def ceiling(memory: Memory, host: Host) -> tuple[int | None, str]:
    """Where `level` ends, and by which limit."""
    if memory.budget is None or memory.budget_by != "RAM":
        return memory.budget, memory.budget_by
    if memory.rss is None or host.ram_available is None:
        return memory.budget, memory.budget_by
    # Others hold a part of it.
    return min(memory.budget, memory.rss + host.ram_available), "RAM"


def trend(process: Process, host: Host) -> Trend | None:
    """The trend of `process`, of its evaluation where it is in one."""
    phase = process.phase
    limit, limit_by = ceiling(process.memory, host)
    now = level(process.memory)
    if phase.name == "evaluate" and phase.rows is not None:
        points = [
            (float(e.rows), float(e.bytes))
            for e in process.levels
            if e.rows is not None and e.step == process.step
        ]
        points = _until(_of_last_evaluation(points), phase.rows, now)
        return fitted(points, "batch", limit, limit_by)
    first = process.training.first_step if process.training else 0
    points = [
        (float(e.step), float(e.bytes))
        for e in process.levels
        if e.rows is None and e.step >= first + WARM_UP
    ]
    return fitted(_until(points, process.step, now), "step", limit, limit_by)


def _until(
    points: list[tuple[float, float]], at: int | None, now: int | None
) -> list[tuple[float, float]]:
    """With the level that stands since the last one was told."""
    if not points or at is None or now is None or at <= points[-1][0]:
        return points
    return [*points, (float(at), float(now))]


def _of_last_evaluation(
    points: list[tuple[float, float]],
) -> list[tuple[float, float]]:
    begins = [i for i in range(1, len(points)) if points[i][0] < points[i - 1][0]]
    return points[begins[-1] :] if begins else points


def fitted(
    points: Sequence[tuple[float, float]], unit: str, limit: int | None, limit_by: str
) -> Trend | None:
    """
    A line through the highest levels of the later half of `points`, where the whole
    and that half both rise, by more than they scatter.

    Args:
        points: step, bytes; in order.
    """
    tops = highest(points)
    later = tops[len(tops) // 2 :]
    if len(tops) < LEAST or not rises(tops) or not rises(later):
        return None
    whole, slope = theil_sen(tops), theil_sen(later)
    used = later
    if 0 < 0.5 * slope < whole < 2 * slope:
        # It has not changed: more points tell it better.
        used, slope = tops, whole
    base = statistics.median(y - slope * x for x, y in used)
    scatter = statistics.median(abs(y - base - slope * x) for x, y in used)
    rise = slope * (used[-1][0] - used[0][0])
    least = max(LEAST_BYTES, LEAST_RISE * tops[-1][1])
    if rise < least or rise < NOISE * scatter:
        return None
    at = points[-1][0]
    now = base + slope * at
    meets = None if limit is None else at + (limit - now) / slope
    return Trend(slope, unit, int(now), at, limit, limit_by, meets)


def highest(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """
    The highest level in each of up to BINS equal spans: samples fall into any phase
    of a step, and it is the highest that meets the limit. A level is told when it
    has moved, so in a span without one the last one holds.
    """
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return list(points[:1])
    first, last = points[0][0], points[-1][0]
    bins = min(BINS, max(LEAST, len(points) // 2), len(points), int(last - first) + 1)
    found: dict[int, tuple[float, float]] = {}
    for x, y in points:
        at = min(bins - 1, int(bins * (x - first) / (last - first)))
        if at not in found or y > found[at][1]:
            found[at] = (x, y)
    width = (last - first) / bins
    held, tops = points[0][1], []
    for at in range(bins):
        tops.append(found.get(at, (first + (at + 0.5) * width, held)))
        held = tops[-1][1]
    return tops


def rises(points: Sequence[tuple[float, float]]) -> bool:
    """By Kendall's tau: most pairs are in the order of a rise."""
    up = down = 0
    for i, (_, before) in enumerate(points):
        for _, after in points[i + 1 :]:
            up += after > before
            down += after < before
    pairs = len(points) * (len(points) - 1) / 2
    return pairs > 0 and (up - down) / pairs >= AGREE


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """The median slope of all pairs: half of the points may be wild."""
    slopes = [
        (y2 - y1) / (x2 - x1)
        for i, (x1, y1) in enumerate(points)
        for x2, y2 in points[i + 1 :]
        if x2 > x1
    ]
    return statistics.median(slopes) if slopes else 0.0
