"""Text for one place on the screen: clipped, aligned, safe."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

from textual.content import Content

from trainwatch.runner.text import plain
from trainwatch.runner.text import whole as whole
from trainwatch.tui.theme import MUTED

ABSENT = "–"
GAP = 3
"""Least cells between columns."""


def safe(text: str) -> str:
    """
    One line of text from outside, fit for a cell grid.

    Without escape sequences, control characters and the invisible characters
    that reorder or hide what stands beside them.
    """
    if text.isascii() and text.isprintable():
        return text
    line = plain(text.expandtabs(8).replace("\n", " "))
    return "".join(c for c in line if unicodedata.category(c) not in ("Cf", "Cs", "Co"))


def elapsed(seconds: float) -> str:
    """A running clock: 761 -> "12:41", 4361 -> "1:12:41"."""
    hours, rest = divmod(max(0, int(seconds)), 3600)
    minutes, seconds_ = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    if hours:
        return f"{hours}:{minutes:02d}:{seconds_:02d}"
    return f"{minutes:02d}:{seconds_:02d}"


def ago(seconds: float | None) -> str:
    """The age of a fact, in whole seconds: "now", "4 s ago"; "" if unknown."""
    if seconds is None:
        return ""
    return "now" if seconds < 1.5 else f"{whole(seconds)} ago"


def roughly(seconds: float) -> str:
    """An age in one unit: 40 -> "40 s", 700 -> "11 min", 90000 -> "25 h"."""
    count = max(0, int(seconds))
    if count < 60:
        return f"{count} s"
    if count < 3600:
        return f"{count // 60} min"
    return f"{count // 3600} h" if count < 172_800 else f"{count // 86_400} d"


def lines_of(count: int) -> str:
    """A number of lines: 1 -> "1 line", 1234 -> "1,234 lines"."""
    return "1 line" if count == 1 else f"{count:,} lines"


def number(value: float | None) -> str:
    """A metric in few characters: 2.113 -> "2.11", 0.00019 -> "1.9e-04"."""
    if value is None:
        return ABSENT
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.1e}"
    return f"{value:.3g}"


def rate(value: float | None) -> str:
    """Tokens a second: 6.13 -> "6.1", 233.4 -> "233"."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def clip(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where it was cut."""
    return Content(text).truncate(max(0, width), ellipsis=True).plain


def fit(content: Content, width: int) -> Content:
    """`content` in exactly `width` cells."""
    return content.truncate(max(0, width), ellipsis=True, pad=True)


def spread(left: Content, right: Content, width: int) -> Content:
    """`left` and `right` at the two ends of a line; `left` gives way."""
    room = width - right.cell_length
    if not right.cell_length or room < 8:
        return left.truncate(width, ellipsis=True)
    return fit(fit(left, room - 1), room) + right


def wrapped(text: str, width: int, style: str = MUTED) -> list[Content]:
    """`text` in lines of at most `width` cells."""
    lines = textwrap.wrap(text, max(8, width))
    return [Content.styled(line, style) for line in lines]


def column_width(width: int, columns: int) -> int:
    """Cells of one of `columns` columns that share `width`."""
    return (width - GAP * (columns - 1)) // columns


def grid(cells: Sequence[Content], columns: int, width: int) -> list[Content]:
    """`cells` in columns of one width, filled downwards, out to both edges."""
    rows = -(-len(cells) // columns)
    each = column_width(width, columns)
    space = Content(" " * ((width - each * columns) // max(1, columns - 1)))
    lines = []
    for row in range(rows):
        line = [fit(cell, each) for cell in cells[row::rows]]
        lines.append(space.join(line))
    return lines


def pair(label: str, value: str, width: int, style: str = "") -> Content:
    """A muted label and, at the right edge of `width` cells, its value."""
    end = Content.styled(value, style)
    return fit(Content.styled(label, MUTED), width - end.cell_length) + end
