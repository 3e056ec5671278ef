"""The line of keys at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding
from textual.content import Content
from textual.widget import Widget

from trainwatch.tui.bindings import LONG, SPARE, shown_key
from trainwatch.tui.theme import CALM, MUTED


def keyline(bindings: Sequence[Binding], width: int) -> Content:
    """The keys and their words; fewer where it is narrow, never cut in a word."""
    shown = [b for b in bindings if b.show]
    tries = [(LONG, "  "), ({}, "  "), ({}, " ")]
    for long, gap in tries:
        line = _line(shown, long, gap)
        if line.cell_length <= width:
            return line
    for word in SPARE:
        shown = [b for b in shown if b.description != word]
        line = _line(shown, {}, " ")
        if line.cell_length <= width:
            return line
    return line.truncate(width)


def _line(bindings: Sequence[Binding], long: dict[str, str], gap: str) -> Content:
    parts = [
        Content.assemble(
            (shown_key(b), f"bold {CALM}"),
            " ",
            (long.get(b.description, b.description), MUTED),
        )
        for b in bindings
    ]
    return Content(gap).join(parts)


class KeyLine(Widget):
    """Keys of a screen."""

    DEFAULT_CSS = """
    KeyLine {
        height: 1;
        padding: 0 1;
        text-wrap: nowrap;
    }
    """

    def __init__(self, bindings: Sequence[Binding]) -> None:
        super().__init__()
        self._keys = tuple(bindings)

    def render(self) -> Content:
        return keyline(self._keys, self.content_size.width)
