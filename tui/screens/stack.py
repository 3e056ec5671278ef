"""What every process was executing when it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from trainwatch.runner.outcome import Outcome
from trainwatch.tui import bindings
from trainwatch.tui.format import safe
from trainwatch.tui.screens.bound import Bound
from trainwatch.tui.theme import MUTED, OUTCOME_MARKS, UNKNOWN_MARK
from trainwatch.tui.widgets.lines import Lines

KEYS = [bindings.BACK, *bindings.HANDS_KEYS]


class StackScreen(Bound):
    """The answer to `stack`, once it is there."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "Lines"

    def body(self) -> Iterable[Widget]:
        yield Static(
            Content.styled("Stack   asking every process where it is …", MUTED),
            id="where",
            markup=False,
        )
        yield Lines()

    def action_stack(self) -> None:
        """Ask again, on this screen."""
        self.watcher.stack()

    def show(self, outcome: Outcome, text: str) -> None:
        """Show what came of the question."""
        glyph, style = OUTCOME_MARKS.get(outcome.outcome, UNKNOWN_MARK)
        where = Content.assemble(
            ("Stack   ", MUTED),
            (f"{glyph} {safe(outcome.outcome)}", f"bold {style}"),
            (f"   {safe(outcome.detail)}", MUTED) if text != outcome.detail else "",
            (f"   {safe(outcome.path)}", MUTED) if outcome.path else "",
        )
        self.query_one("#where", Static).update(where)
        self.query_one(Lines).show((text or outcome.detail).splitlines())
