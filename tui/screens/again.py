"""Before a second snapshot within a minute."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from trainwatch.tui.theme import MUTED, STRONG


class AgainScreen(ModalScreen[bool]):
    """
    Asks whether to take another snapshot.

    Args:
        last: what was saved, and how long ago.
    """

    DEFAULT_CSS = """
    AgainScreen {
        align: center middle;
        & > Vertical {
            width: 60;
            max-width: 100%;
            height: auto;
            border: round $warning;
            border-title-color: $foreground;
            background: $surface;
            padding: 1 2;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,s,y", "answer(True)", "Take another", show=False),
        Binding("escape,q,n", "answer(False)", "Leave it", show=False),
    ]

    def __init__(self, last: str) -> None:
        super().__init__()
        self._last = last

    def compose(self) -> ComposeResult:
        box = Vertical(Static(Content(self._last), markup=False))
        box.border_title = Content.styled("Another snapshot?", STRONG)
        box.border_subtitle = Content.styled("enter takes it · esc leaves it", MUTED)
        yield box

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
