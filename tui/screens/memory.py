"""The memory of the run in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget

from trainwatch.tui import bindings
from trainwatch.tui.panels.ledger import LedgerPanel
from trainwatch.tui.panels.trainable import TrainablePanel
from trainwatch.tui.screens.bound import Bound

KEYS = [bindings.BACK, *bindings.HANDS_KEYS]


class MemoryScreen(Bound):
    """Every process's ledger, the machine, and what is trained."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        *KEYS,
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        yield VerticalScroll(
            LedgerPanel().data_bind(Bound.view),
            TrainablePanel().data_bind(Bound.view),
            id="scroll",
            can_focus=False,
        )

    def action_scroll(self, lines: int) -> None:
        self.query_one("#scroll").scroll_relative(y=lines, animate=False)
