"""What the program wrote, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from trainwatch.runner.view import RunView
from trainwatch.tui import bindings
from trainwatch.tui.format import lines_of
from trainwatch.tui.screens.bound import Bound
from trainwatch.tui.theme import MUTED
from trainwatch.tui.widgets.lines import Lines
from trainwatch.tui.widgets.prompt import Prompt

KEYS = [
    bindings.BACK,
    bindings.SEARCH,
    bindings.NEXT,
    bindings.BEFORE,
    bindings.FOLLOW,
    *bindings.HANDS_KEYS,
]


class ConsoleScreen(Bound):
    """The output held in memory. The whole of it is in the run's console.log."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "Lines"

    def body(self) -> Iterable[Widget]:
        yield Static(id="where", markup=False)
        yield Lines(follow=True)

    def on_mount(self) -> None:
        self.watch_view(self.view)

    def watch_view(self, view: RunView) -> None:
        lines = self.query_one(Lines)
        first = view.console_lines - len(view.console)
        if (lines.text, lines.first) != (view.console, first):
            lines.show(view.console, first)
        self._say_where()

    def _say_where(self) -> None:
        view, lines = self.view, self.query_one(Lines)
        held = len(view.console)
        text = f"Console   {lines_of(view.console_lines)}"
        if view.console_lines > held:
            text += f", the last {held:,} are here"
        if lines.needle:
            place = 0 if lines.here is None else lines.here + 1
            text += f"   /{lines.needle}: {place} of {len(lines.found)}"
        elif lines.follow:
            text += "   follows the end"
        else:
            text += "   f follows the end"
        if not held:
            text += "   Nothing written yet; it appears here as the program writes."
        self.query_one("#where", Static).update(Content.styled(text, MUTED))

    def action_search(self) -> None:
        self.query_one(Prompt).ask("search", "/", "text to find")

    def action_next(self) -> None:
        self.query_one(Lines).step(1)
        self._say_where()

    def action_before(self) -> None:
        self.query_one(Lines).step(-1)
        self._say_where()

    def action_follow(self) -> None:
        self.query_one(Lines).action_bottom()
        self._say_where()

    def action_back(self) -> None:
        lines = self.query_one(Lines)
        if lines.needle:
            lines.search("")
            self._say_where()
        else:
            super().action_back()

    @on(Prompt.Changed)
    def _searching(self, event: Prompt.Changed) -> None:
        if event.purpose == "search":
            self.query_one(Lines).search(event.value)
            self._say_where()

    @on(Prompt.Submitted)
    def _searched(self, event: Prompt.Submitted) -> None:
        if event.purpose == "search":
            self.query_one(Prompt).close()
            self.query_one(Lines).focus()

    @on(Prompt.Closed)
    def _search_closed(self, event: Prompt.Closed) -> None:
        if event.purpose == "search":
            self.query_one(Lines).search("")
        self.query_one(Lines).focus()
        self._say_where()
