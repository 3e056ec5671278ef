"""
Whether a training fits, as `trainwatch fit` says it.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from trainwatch.tui import bindings
from trainwatch.tui.theme import MUTED, STRONG
from trainwatch.tui.widgets.keyline import KeyLine
from trainwatch.tui.widgets.lines import Lines

KEYS = [bindings.BACK]


class FitScreen(Screen[None]):
    """The answer, to scroll in."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "Lines"

    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = answer

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(("trainwatch", STRONG), ("   will it fit?", MUTED)),
            id="bar",
            markup=False,
        )
        yield Lines()
        yield KeyLine(KEYS)

    def on_mount(self) -> None:
        lines = self.query_one(Lines)
        lines.show(self._answer.splitlines())
        lines.scroll_home(animate=False)

    def action_back(self) -> None:
        self.app.pop_screen()
