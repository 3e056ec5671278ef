"""A horizontal bar of one line."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from trainwatch.tui.theme import CALM, FAINT

FULL, HALF, TRACK, MARK = "━", "╸", "┈", "┃"
Marks = Sequence[tuple[float, str, str]]
"""Value, glyph and style of each mark, the most important last."""


def bar(
    value: float | None,
    scale: float,
    width: int,
    style: str = CALM,
    mark: float | None = None,
    mark_style: str = "bold",
    marks: Marks = (),
) -> Content:
    """
    `value` on a line of `width` cells that stands for 0 to `scale`.

    Args:
        value: None draws the empty line.
        mark: a value to mark on the line, such as a limit.
        marks: several of them.
    """
    if width < 1:
        return Content("")
    halves = 0
    if value is not None and scale > 0:
        halves = round(2 * width * min(1.0, max(0.0, value / scale)))
        if value > 0:
            halves = max(1, halves)
    full, half = divmod(halves, 2)
    filled = FULL * full + HALF * half
    line = Content.assemble((filled, style), (TRACK * (width - len(filled)), FAINT))
    for at_value, glyph, glyph_style in (
        *marks,
        *([] if mark is None else [(mark, MARK, mark_style)]),
    ):
        if scale > 0 and 0 <= at_value <= scale:
            at = min(width - 1, int(width * at_value / scale))
            styled = Content.styled(glyph, glyph_style)
            line = line[:at] + styled + line[at + 1 :]
    return line
