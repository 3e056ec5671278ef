"""A small line chart of braille dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of the dot in row 0 to 3 from the top, column 0 and 1."""
BLANK = 0x2800


def resample(values: Sequence[float], count: int) -> list[float]:
    """`values` as `count` values: means of stretches, or points between them."""
    if len(values) < 2 or count < 2:
        return list(values[:count])
    if len(values) <= count:
        scale = (len(values) - 1) / (count - 1)
        return [_between_points(values, x * scale) for x in range(count)]
    edges = [index * len(values) // count for index in range(count + 1)]
    return [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def _between_points(values: Sequence[float], place: float) -> float:
    left = min(int(place), len(values) - 2)
    share = place - left
    return values[left] * (1 - share) + values[left + 1] * share


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """
    `values` as `height` lines of `width` cells, oldest at the left.

    Values that are not finite leave a gap. A cell is 2 dots wide, 4 high.
    """
    cells = [[BLANK] * width for _ in range(height)]
    points = resample([v for v in values if math.isfinite(v)], 2 * width)
    if points and width > 0 and height > 0:
        low, high = min(points), max(points)
        span = (high - low) or 1.0
        rows = 4 * height - 1
        before: int | None = None
        for x, value in enumerate(points):
            y = round((high - value) / span * rows) if high > low else rows // 2
            top, bottom = (y, y) if before is None else _between(before, y)
            for dot in range(top, bottom + 1):
                cells[dot // 4][x // 2] |= _DOTS[dot % 4][x % 2]
            before = y
    return ["".join(map(chr, row)) for row in cells]


def _between(before: int, y: int) -> tuple[int, int]:
    """The dots to fill in this column so that the line does not break."""
    if abs(before - y) <= 1:
        return y, y
    return (before + 1, y) if before < y else (y, before - 1)
