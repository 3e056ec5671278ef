"""A screen about one run: its chrome, and the hands that reach the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from trainwatch.runner import salvage
from trainwatch.runner.view import NOTHING, RunView
from trainwatch.tui.panels.command import Asked, CommandLine
from trainwatch.tui.panels.cost import CostLine
from trainwatch.tui.panels.header import Header
from trainwatch.tui.widgets.keyline import KeyLine
from trainwatch.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from trainwatch.tui.app import TrainwatchApp

READ_ONLY = "attached with --read-only: this screen only looks"


class Bound(Screen[None]):
    """Follows the open run. The app sets `view` while the screen is in sight."""

    KEYS: ClassVar[list[Binding]] = []
    AUTO_FOCUS = ""

    view: reactive[RunView] = reactive(NOTHING, repaint=False, init=False)
    """The run to show."""
    over: reactive[bool] = reactive(False, repaint=False)
    """There is nothing to command: the run has ended, or we may only look."""
    asked: reactive[Asked | None] = reactive(None, repaint=False, init=False)
    """The last command of this app."""

    @property
    def watcher(self) -> TrainwatchApp:
        return cast("TrainwatchApp", self.app)

    def compose(self) -> ComposeResult:
        yield Header(self.watcher.read_only).data_bind(Bound.view)
        yield from self.body()
        yield CommandLine().data_bind(Bound.view, Bound.asked)
        yield Prompt()
        yield KeyLine(self.KEYS).data_bind(Bound.over)
        yield CostLine().data_bind(Bound.view)

    def compute_over(self) -> bool:
        return self.view.state.over or self.watcher.read_only

    def body(self) -> Iterable[Widget]:
        """What stands between the header and the keys."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        self.view = self.watcher.view
        self.asked = self.watcher.asked

    # --- moving about ---

    def action_back(self) -> None:
        self.app.pop_screen()

    def action_leave(self) -> None:
        self.watcher.leave()

    def action_help(self) -> None:
        from trainwatch.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.KEYS))

    # --- hands ---

    def action_abort(self) -> None:
        from trainwatch.tui.screens.confirm import ConfirmScreen

        if self._over("abort"):
            return
        self.app.push_screen(ConfirmScreen(self), self._abort)

    def _over(self, command: str) -> bool:
        """True, and said so, when the run takes no commands from here."""
        if self.watcher.read_only:
            self.watcher.note(command, "refused", READ_ONLY)
        elif self.view.state.over:
            self.watcher.note(command, "refused", "the run is over")
        return self.over

    def _abort(self, how: str | None) -> None:
        if how is not None:
            self.watcher.abort(how)

    def action_snapshot(self) -> None:
        if self._over("snapshot"):
            return
        last = salvage.recent(self.view.state, self.view.now)
        if not last:
            self.watcher.snapshot()
            return
        from trainwatch.tui.screens.again import AgainScreen

        self.app.push_screen(AgainScreen(last), self._again)

    def _again(self, yes: bool | None) -> None:
        if yes:
            self.watcher.snapshot(again=True)

    def action_stack(self) -> None:
        if self._over("stack"):
            return
        from trainwatch.tui.screens.stack import StackScreen

        self.watcher.stack()
        self.app.push_screen(StackScreen())

    def action_type(self) -> None:
        if self._over("type") or self.watcher.hand_over():
            return
        self.add_class("-typing")
        self.query_one(Prompt).ask(
            "type", "to the program: ", "a line, enter sends it, esc leaves"
        )

    @on(Prompt.Closed)
    def _typing_closed(self, event: Prompt.Closed) -> None:
        self.remove_class("-typing")

    @on(Prompt.Submitted)
    def _typed(self, event: Prompt.Submitted) -> None:
        if event.purpose == "type":
            self.watcher.type_line(event.value)
