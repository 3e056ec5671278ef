"""The keys, from the bindings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from trainwatch.tui.bindings import all_keys
from trainwatch.tui.theme import CALM, MUTED

KEY_WIDTH = 10
ELSEWHERE = (
    ("j k ↓ ↑", "Up and down in lists and text"),
    ("g G", "To the first and the last line"),
    ("ctrl+p :", "All actions by name"),
)


def key_table(bindings: Sequence[Binding]) -> Content:
    """One line for each key: the key, what it does."""
    rows = [(all_keys(b), b.tooltip) for b in bindings if b.show]
    rows += ELSEWHERE
    return Content("\n").join(
        Content.assemble((keys.ljust(KEY_WIDTH), f"bold {CALM}"), text)
        for keys, text in rows
    )


class HelpScreen(ModalScreen[None]):
    """The keys of the screen it was called from."""

    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
        & > VerticalScroll {
            width: 76;
            max-width: 100%;
            height: auto;
            max-height: 100%;
            border: round $primary;
            border-title-color: $foreground;
            background: $surface;
            padding: 1 2;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "Close", show=False)
    ]

    def __init__(self, bindings: Sequence[Binding]) -> None:
        super().__init__()
        self._keys = tuple(bindings)

    def compose(self) -> ComposeResult:
        text = Content("\n\n").join(
            [
                key_table(self._keys),
                Content.styled(
                    "Leaving never stops a run. Only abort does, and it asks first.",
                    MUTED,
                ),
            ]
        )
        box = VerticalScroll(Static(text, markup=False))
        box.border_title = Content.styled("Keys", "bold")
        box.border_subtitle = Content.styled("esc closes", MUTED)
        yield box
