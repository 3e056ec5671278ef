"""Before runs are deleted: which ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from trainwatch.runner.summary import RunSummary
from trainwatch.tui.format import safe
from trainwatch.tui.theme import MUTED, STRONG

SHOWN = 8
STAKE = (
    "Log, output, stacks and our snapshots are deleted. Checkpoints that the program "
    "itself saved elsewhere stay."
)


class RemoveScreen(ModalScreen[bool]):
    """Asks whether to delete `runs`."""

    DEFAULT_CSS = """
    RemoveScreen {
        align: center middle;
        & > Vertical {
            width: 66;
            max-width: 100%;
            height: auto;
            border: round $error;
            border-title-color: $foreground;
            background: $surface;
            padding: 1 2;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Remove", show=False),
        Binding("escape,q,n", "answer(False)", "Keep", show=False),
    ]

    def __init__(self, runs: Sequence[RunSummary]) -> None:
        super().__init__()
        self._runs = tuple(runs)

    def compose(self) -> ComposeResult:
        lines = [
            Content.assemble(
                (safe(run.name), STRONG), (f"  {run.status}  {run.id}", MUTED)
            )
            for run in self._runs[:SHOWN]
        ]
        if len(self._runs) > SHOWN:
            more = len(self._runs) - SHOWN
            lines.append(Content.styled(f"and {more} older ones", MUTED))
        text = Content("\n").join([*lines, Content(""), Content(STAKE)])
        box = Vertical(Static(text, markup=False))
        count = len(self._runs)
        what = "this run" if count == 1 else f"these {count} runs"
        box.border_title = Content.styled(f"Remove {what}?", STRONG)
        box.border_subtitle = Content.styled("y removes · esc keeps", MUTED)
        yield box

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
