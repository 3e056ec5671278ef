"""A horizontal bar of one line."""

from __future__ import annotations

from textual.content import Content

from trainwatch.tui.theme import CALM, FAINT

FULL, HALF, TRACK, MARK = "━", "╸", "┈", "┃"


def bar(
    value: float | None,
    scale: float,
    width: int,
    style: str = CALM,
    mark: float | None = None,
    mark_style: str = "bold",
) -> Content:
    """
    `value` on a line of `width` cells that stands for 0 to `scale`.

    Args:
        value: None draws the empty line.
        mark: a value to mark on the line, such as a limit.
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
    if mark is None or scale <= 0 or not 0 <= mark <= scale:
        return line
    at = min(width - 1, int(width * mark / scale))
    return line[:at] + Content.styled(MARK, mark_style) + line[at + 1 :]
