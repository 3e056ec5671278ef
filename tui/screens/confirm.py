"""Before a run is stopped: which one, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from trainwatch.runner.state import Command, RunState
from trainwatch.runner.text import duration
from trainwatch.runner.view import RunView
from trainwatch.tui.format import safe
from trainwatch.tui.theme import BAD, MUTED, STRONG, WARN
from trainwatch.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from trainwatch.tui.screens.bound import Bound

WAYS = (
    ("step", "Finish the step and save", "then stop: the gentlest way", ""),
    ("now", "Stop now", "SIGTERM; a save under way is waited for", WARN),
    ("tree", "Terminate the tree", "the command, then all it started", WARN),
    ("kill", "Kill", "every process, at once, also in a save", BAD),
)


def at_stake(state: RunState, now: float) -> str:
    """How far the run is and what would be left of it."""
    lead = state.lead
    parts = []
    if lead is not None and lead.step is not None:
        goal = lead.training.max_steps if lead.training else None
        parts.append(f"step {lead.step:,}" + (f" of {goal:,}" if goal else ""))
    saved = max(
        (c for c in state.checkpoints.values() if c.complete is not False),
        key=lambda c: c.seen,
        default=None,
    )
    if saved is None:
        parts.append("no checkpoint saved yet")
    else:
        what = f"step {saved.step:,}" if saved.step is not None else "unknown step"
        parts.append(f"last checkpoint {what}, {duration(round(now - saved.seen))} ago")
    return " · ".join(parts)


def under_way(state: RunState) -> Command | None:
    """An abort that has no outcome yet."""
    aborts = [c for c in state.commands if c.command == "abort" and c.outcome is None]
    return aborts[-1] if aborts else None


def stakes(view: RunView) -> str:
    """What there is to know before the run is stopped."""
    if view.state.over:
        return f"it has ended by itself: {view.state.run.status}"
    said = at_stake(view.state, view.now)
    standing = under_way(view.state)
    return said if standing is None else f"{said}\n\nunder way: {safe(standing.detail)}"


class ConfirmScreen(ModalScreen[str | None]):
    """Asks how to stop the run; None means not at all."""

    DEFAULT_CSS = """
    ConfirmScreen {
        align: center middle;
        & > Vertical {
            width: 74;
            max-width: 100%;
            height: auto;
            border: round $warning;
            border-title-color: $foreground;
            background: $surface;
            padding: 1 2;
        }
        Rows { height: auto; background: $surface; margin: 1 0 0 0; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,n", "cancel", "Let it run", show=False)
    ]

    def __init__(self, run: Bound) -> None:
        super().__init__()
        self._run = run
        """The screen below; the run goes on while this one asks."""

    def compose(self) -> ComposeResult:
        state = self._run.view.state
        name = safe(state.run.name or state.run.id)
        rows = Rows()
        rows.show(
            [
                (
                    how,
                    Content.assemble(
                        (f" {title}".ljust(28), f"{STRONG} {style}".strip()),
                        (text, MUTED),
                    ),
                )
                for how, title, text, style in WAYS
            ]
        )
        box = Vertical(Static(Content(stakes(self._run.view)), markup=False), rows)
        box.border_title = Content.styled(f"Abort {name}?", STRONG)
        box.border_subtitle = Content.styled("enter does it · esc lets it run", MUTED)
        yield box

    def on_mount(self) -> None:
        self.watch(self._run, "view", self._tell, init=False)

    def _tell(self, view: RunView) -> None:
        self.query_one(Static).update(Content(stakes(view)))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_cancel(self) -> None:
        self.dismiss(None)
