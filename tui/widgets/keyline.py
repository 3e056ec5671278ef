"""The line of keys at the bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.binding import Binding
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from trainwatch.tui.bindings import COMMANDS, LONG, SPARE, shown_key
from trainwatch.tui.theme import CALM, MUTED


def keyline(
    bindings: Sequence[Binding], width: int, long: Mapping[str, str] = LONG
) -> Content:
    """The keys and their words; fewer where it is narrow, never cut in a word."""
    shown = [b for b in bindings if b.show]
    nothing: Mapping[str, str] = {}
    for words, gap in ((long, "  "), (nothing, "  "), (nothing, " ")):
        line = _line(shown, words, gap)
        if line.cell_length <= width:
            return line
    for word in SPARE:
        shown = [b for b in shown if b.description != word]
        line = _line(shown, {}, " ")
        if line.cell_length <= width:
            return line
    return line.truncate(width)


def _line(bindings: Sequence[Binding], long: Mapping[str, str], gap: str) -> Content:
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

    over: reactive[bool] = reactive(False)
    """The run has ended: keys that command it are left out."""

    def __init__(self, bindings: Sequence[Binding]) -> None:
        super().__init__()
        self._keys = tuple(bindings)

    def render(self) -> Content:
        width = self.content_size.width
        if not self.over:
            return keyline(self._keys, width)
        return keyline([b for b in self._keys if b not in COMMANDS], width, {})
