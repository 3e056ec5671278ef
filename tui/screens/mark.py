"""What a warning is to the user: known, or of another severity."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.triage.marks import Mark
from trainwatch.tui.format import safe
from trainwatch.tui.theme import MUTED, SEVERITY_MARKS, STRONG
from trainwatch.tui.widgets.rows import Rows

KNOWN = "known"
BACK = "back"
SEVERITIES = ("harmless", "cleanup", "attention", "serious")
SAYS = {
    "harmless": "nothing is wrong here",
    "cleanup": "to be changed some day",
    "attention": "result or speed may be worse",
    "serious": "I want to see it at once",
}


def judged(warning: TriagedWarning) -> str:
    """The severity without the user's mark."""
    return warning.was if warning.by == "yours" and warning.was else warning.severity


def mark_for(warning: TriagedWarning, chosen: str) -> Mark:
    """The mark that a choice means; `BACK` takes an earlier one away."""
    if chosen == BACK:
        return Mark(warning.key)
    was, text = judged(warning), warning.text.strip()
    if chosen == KNOWN:
        mine = warning.severity if warning.by == "yours" else ""
        return Mark(warning.key, mine, True, was, text)
    return Mark(warning.key, chosen, warning.known, was, text)


def choices(warning: TriagedWarning) -> list[tuple[str, Content]]:
    """The rows: id, what stands there."""
    now = judged(warning)
    rows = [(KNOWN, "I know it", "never new again, last in its group", "")]
    for severity in SEVERITIES:
        glyph, style = SEVERITY_MARKS[severity]
        told = SAYS[severity] + (", as it is judged" if severity == now else "")
        rows.append((severity, f"{glyph} {severity} for me", told, style))
    rows.append((BACK, "As it is judged", "takes your mark away", ""))
    return [
        (
            id_,
            Content.assemble((f" {title}".ljust(24), style or STRONG), (text, MUTED)),
        )
        for id_, title, text, style in rows
    ]


class MarkScreen(ModalScreen[Mark | None]):
    """Asks what a warning is to the user; None changes nothing."""

    DEFAULT_CSS = """
    MarkScreen {
        align: center middle;
        & > Vertical {
            width: 74;
            max-width: 100%;
            height: auto;
            border: round $accent;
            border-title-color: $foreground;
            background: $surface;
            padding: 1 2;
        }
        Static { max-height: 3; }
        Rows { height: auto; background: $surface; margin: 1 0 0 0; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,m", "cancel", "Change nothing", show=False)
    ]

    def __init__(self, warning: TriagedWarning) -> None:
        super().__init__()
        self._warning = warning

    def compose(self) -> ComposeResult:
        rows = Rows()
        rows.show(choices(self._warning))
        box = Vertical(Static(Content(safe(self._warning.text)), markup=False), rows)
        box.border_title = Content.styled("What is it to you?", STRONG)
        box.border_subtitle = Content.styled("enter keeps it · esc leaves it", MUTED)
        yield box

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(mark_for(self._warning, event.option_id or BACK))

    def action_cancel(self) -> None:
        self.dismiss(None)
