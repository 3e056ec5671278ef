"""The app: one open run, the screens about it, the list of all runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from trainwatch.runner.outcome import Outcome
from trainwatch.runner.verdict import judge
from trainwatch.runner.view import NOTHING, RunView
from trainwatch.tui.bindings import COMMANDS
from trainwatch.tui.feed import Follower, OpenFeed
from trainwatch.tui.glyphs import AsciiOnly, wants_ascii
from trainwatch.tui.hands import Lane
from trainwatch.tui.messages import CommandReturned, FeedLost, RunUpdated
from trainwatch.tui.panels.command import Asked
from trainwatch.tui.ring import Ring, osc9
from trainwatch.tui.screens.bound import Bound
from trainwatch.tui.theme import THEMES

if TYPE_CHECKING:
    from trainwatch.runner.state import Notice
    from trainwatch.runner.triage.marks import Mark
    from trainwatch.tui.catalog import Catalog
    from trainwatch.tui.hands import Hands

TICK_S = 1.0
LATE_S = 2.5
"""Without a look at the run for this long, ages go on by our own clock."""


@dataclass(frozen=True)
class Left:
    """What the app knew of the run when it was left."""

    folder: Path
    name: str
    going_on: bool


class TrainwatchApp(App[Left]):
    """
    Args:
        catalog: the runs there are; launches new ones.
        hands: what can be done to a run.
        open_feed: opens what reads the run in a folder. Called on a thread.
        folder: the run to show; None starts with the list of runs.
        clock: wall clock seconds.
        cwd: the folder that new runs are offered; None is the current one.
        read_only: nothing can be done to a run from here.
    """

    TITLE = "trainwatch"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (100, "-home"),
        (180, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-low"),
        (36, "-tall"),
        (54, "-high"),
    ]
    NOTIFICATION_TIMEOUT = 8
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", "Leave", show=False, priority=True, id="app.leave"),
        Binding("ctrl+c", "leave", "Leave", show=False, id="app.interrupt"),
    ]

    def __init__(
        self,
        catalog: Catalog,
        hands: Hands,
        open_feed: OpenFeed,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        cwd: str | None = None,
        read_only: bool = False,
    ) -> None:
        self._ascii = AsciiOnly(enabled=wants_ascii(os.environ))
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.catalog = catalog
        self.hands = hands
        self.folder = folder
        self.clock = clock
        self.cwd = cwd if cwd is not None else os.getcwd()
        self.read_only = read_only
        self.view: RunView = NOTHING
        """The newest look at the open run."""
        self.asked: Asked | None = None
        self._open_feed = open_feed
        self._follower: Follower | None = None
        self._ring = Ring()
        self._looked = clock()
        self._lane = Lane("hands", self.post_message)
        self._typing = Lane("typing", self.post_message)

    # --- start and end ---

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [
            *super().get_line_filters(),
            *([self._ascii] if self._ascii.enabled else []),
        ]

    def get_default_screen(self) -> Screen[Any]:
        if self.folder is not None:
            from trainwatch.tui.screens.run import RunScreen

            return RunScreen()
        from trainwatch.tui.screens.runs import RunsScreen

        return RunsScreen()

    def on_mount(self) -> None:
        self.set_class(self._ascii.enabled, "-ascii")
        if self.folder is not None:
            self._follow(self.folder)
        self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        self._unfollow()

    def leave(self) -> None:
        """End the app; the run, if one is open, goes on."""
        self.exit(self.left)

    @property
    def left(self) -> Left | None:
        """What to say of the open run after the app has ended."""
        if self.folder is None:
            return None
        state = self.view.state
        return Left(
            self.folder,
            state.run.name or state.run.id or self.folder.name,
            not state.over,
        )

    def action_leave(self) -> None:
        self.leave()

    async def action_quit(self) -> None:
        self.leave()

    # --- the open run ---

    def open_run(self, folder: Path) -> None:
        """Show the run in `folder`."""
        from trainwatch.tui.screens.run import RunScreen

        self._follow(folder)
        self.push_screen(RunScreen())

    def go_home(self) -> None:
        """Back to the list of runs; the open run goes on without us."""
        from trainwatch.tui.screens.runs import RunsScreen

        self._unfollow()
        self.folder = None
        if any(isinstance(screen, RunsScreen) for screen in self.screen_stack[:-1]):
            self.pop_screen()
        else:
            self.switch_screen(RunsScreen())

    def _follow(self, folder: Path) -> None:
        self._unfollow()
        self.folder = folder
        self.view, self.asked = NOTHING, None
        self._ring = Ring()
        self._follower = Follower(folder, self._open_feed, self.post_message)
        self._follower.start()

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    def on_run_updated(self, message: RunUpdated) -> None:
        if self._follower is None:
            return
        self._looked = self.clock()
        self._show(message.view)
        for notice in self._ring.fresh(message.view):
            self.call_person(notice)

    def call_person(self, notice: Notice) -> None:
        """Ring this terminal's bell, and tell it why."""
        self.bell()
        if self._driver is not None and not self.is_headless:
            self._driver.write(osc9(notice))

    def on_feed_lost(self, message: FeedLost) -> None:
        self.note("attach", "failed", message.error)

    def _tick(self) -> None:
        """Let ages go on where no look at the run comes."""
        late = self.clock() - self._looked
        if self._follower is None or self.view is NOTHING or late < LATE_S:
            return
        self._looked += late
        now = self.view.now + late
        self._show(replace(self.view, now=now, verdict=judge(self.view.state, now)))

    def _show(self, view: RunView) -> None:
        self.view = view
        with self.batch_update():
            for screen in self._in_sight():
                screen.view = view

    def _in_sight(self) -> Iterable[Bound]:
        """The screens of the run that can be seen, under dialogs too."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, Bound):
                yield screen
            if not screen.is_modal:
                return

    # --- hands ---

    def note(
        self, command: str, outcome: str | None, detail: str = "", path: str = ""
    ) -> None:
        """Show what came of a command, or that it is under way."""
        now = self.clock()
        before = self.asked
        asked = now
        if outcome is not None and before is not None and before.command == command:
            asked = before.asked
        finished = now if outcome is not None else None
        self.asked = Asked(command, asked, outcome, detail, path, finished)
        for screen in self._in_sight():
            screen.asked = self.asked

    def abort(self, how: str) -> None:
        self._ask("abort", lambda folder: self.hands.abort(folder, how))

    def snapshot(self, again: bool = False) -> None:
        """`again`: also within a minute of the last one."""
        self._ask("snapshot", lambda folder: self.hands.snapshot(folder, again))

    def stack(self) -> None:
        self._ask("stack", self.hands.stack, read=True)

    def mark(self, mark: Mark) -> None:
        """Keep what the user thinks of a family of warnings."""
        self.note("mark", None)
        self._lane.ask("mark", lambda: self.hands.mark(mark))

    def export(self, path: Path) -> None:
        """Write the warnings of the open run to a file, relative to our folder."""
        state, path = self.view.state, Path(self.cwd, path.expanduser())
        self.note("export", None)
        self._lane.ask("export", lambda: self.hands.export(state, path))

    def hand_over(self) -> bool:
        """
        Give the terminal to the program until the user takes it back; False where
        that cannot be done here.
        """
        if self.folder is None or self._follower is None:
            return False
        try:
            with self.suspend():
                self._follower.silent = True
                try:
                    outcome = self.hands.hand_over(self.folder)
                finally:
                    self._follower.silent = False
        except SuspendNotSupported:
            return False
        self.note("keyboard", outcome.outcome, outcome.detail)
        return True

    def type_line(self, text: str) -> None:
        """Send `text` and a newline to the program."""
        folder = self.folder
        if folder is not None:
            data = f"{text}\n".encode()
            self._typing.ask("type", lambda: self.hands.type_text(folder, data))

    def _ask(
        self, command: str, call: Callable[[Path], Outcome], read: bool = False
    ) -> None:
        folder = self.folder
        if folder is None:
            return
        self.note(command, None)
        self._lane.ask(command, lambda: call(folder), read)

    def on_command_returned(self, message: CommandReturned) -> None:
        outcome = message.outcome
        if message.command == "type" and outcome.ok:
            return
        word = outcome.outcome or ("done" if outcome.ok else "failed")
        self.note(message.command, word, outcome.detail, outcome.path)
        if message.command == "stack":
            from trainwatch.tui.screens.stack import StackScreen

            if isinstance(self.screen, StackScreen):
                self.screen.show(outcome, message.text)

    # --- palette ---

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for binding in getattr(screen, "KEYS", ()):
            idle = self.read_only and binding in COMMANDS
            if binding.action != "app.command_palette" and not idle:
                yield SystemCommand(
                    binding.description.capitalize(),
                    binding.tooltip,
                    self._runner(screen, binding.action),
                )
        yield SystemCommand("Theme", "Choose the colours", self.action_change_theme)

    def _runner(self, screen: Screen[Any], action: str) -> Callable[[], Any]:
        return lambda: screen.run_action(action)
