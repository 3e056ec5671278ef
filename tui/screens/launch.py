"""Starting a run: a command of one's own, or a demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Label, OptionList, Static

from trainwatch.runner.errors import LaunchError, RefusedError
from trainwatch.tui import bindings
from trainwatch.tui.aside import aside
from trainwatch.tui.format import safe
from trainwatch.tui.messages import DemosListed, FitChecked, LaunchFailed, RunLaunched
from trainwatch.tui.theme import CALM, MUTED, STRONG
from trainwatch.tui.widgets.keyline import KeyLine
from trainwatch.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from trainwatch.tui.app import TrainwatchApp

TAB = bindings.key("tab", "app.focus_next", "next field", "To the next field")
START = bindings.key("enter", "start", "start", "Start what is under the cursor")
KEYS = [START, TAB, bindings.BACK]


class LaunchScreen(Screen[None]):
    """A command line, a folder, the demos, and whether a training would fit."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        bindings.BACK,
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]
    AUTO_FOCUS = "#command"

    def __init__(self) -> None:
        super().__init__()
        self._starting = False

    @property
    def watcher(self) -> TrainwatchApp:
        return cast("TrainwatchApp", self.app)

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(("trainwatch", STRONG), ("   new run", MUTED)),
            id="bar",
            markup=False,
        )
        with Vertical(id="form"):
            yield Label("Your command, as you would type it in a shell", markup=False)
            yield Input(placeholder="python train.py", id="command", compact=True)
            yield Label("in the folder", markup=False)
            yield Input(value=self.watcher.cwd, id="cwd", compact=True)
            yield Static(id="message", markup=False)
            yield Label("or a demo: the real stack, nothing downloaded", markup=False)
            yield Rows()
            yield Label("or check the fit first: nothing is started", markup=False)
            yield Input(
                placeholder="a model, and options of trainwatch fit",
                id="fit",
                compact=True,
            )
        yield KeyLine(KEYS)

    def on_mount(self) -> None:
        catalog = self.watcher.catalog

        def work() -> Message:
            try:
                return DemosListed(tuple(catalog.demos()))
            except Exception as error:  # whatever it is, the user sees it
                return DemosListed((), f"{type(error).__name__}: {error}")

        aside("demos", self.post_message, work)

    def on_demos_listed(self, message: DemosListed) -> None:
        if message.error:
            self._say(f"The demos cannot be listed. {message.error}", "$error")
        width = max((len(name) for name, _ in message.demos), default=0) + 2
        self.query_one(Rows).show(
            [
                (
                    name,
                    Content.assemble(
                        (f" {safe(name).ljust(width)}", f"bold {CALM}"),
                        (safe(text), MUTED),
                    ),
                )
                for name, text in message.demos
            ]
        )

    @on(Input.Submitted, "#fit")
    def _check_fit(self, event: Input.Submitted) -> None:
        words = event.value.strip()
        if not words or self._starting:
            return
        self._starting = True
        self._say("simulating two steps …", MUTED)
        catalog = self.watcher.catalog
        cwd = self.query_one("#cwd", Input).value.strip() or self.watcher.cwd

        def work() -> Message:
            try:
                return FitChecked(catalog.check_fit(words, cwd))
            except RefusedError as error:
                return FitChecked("", str(error))
            except Exception as error:  # whatever it is, the user sees it
                return FitChecked("", f"{type(error).__name__}: {error}")

        aside("fit", self.post_message, work)

    def on_fit_checked(self, message: FitChecked) -> None:
        from trainwatch.tui.screens.fit import FitScreen

        self._starting = False
        if message.error:
            self._say(message.error, "$error")
            return
        self.query_one("#message").display = False
        if self.is_current:
            self.app.push_screen(FitScreen(message.answer))

    @on(Input.Submitted, "#command, #cwd")
    def _submitted(self, event: Input.Submitted) -> None:
        command = self.query_one("#command", Input).value.strip()
        cwd = self.query_one("#cwd", Input).value.strip() or self.watcher.cwd
        if not command:
            self._say("Type a command first, or choose a demo below.", "$warning")
            return
        catalog = self.watcher.catalog
        self._launch(lambda: catalog.launch(command, cwd))

    @on(OptionList.OptionSelected)
    def _demo(self, event: OptionList.OptionSelected) -> None:
        name, catalog = event.option_id, self.watcher.catalog
        if name is not None:
            self._launch(lambda: catalog.launch_demo(name))

    def _launch(self, start: Callable[[], Path]) -> None:
        if self._starting:
            return
        self._starting = True
        self._say("starting …", MUTED)

        def work() -> Message:
            try:
                return RunLaunched(start())
            except LaunchError as error:
                return LaunchFailed(str(error))
            except Exception as error:  # whatever it is, the user sees it
                return LaunchFailed(f"{type(error).__name__}: {error}")

        aside("launch", self.post_message, work)

    def on_run_launched(self, message: RunLaunched) -> None:
        self._starting = False
        self.app.pop_screen()
        self.watcher.open_run(message.folder)

    def on_launch_failed(self, message: LaunchFailed) -> None:
        self._starting = False
        self._say(f"Not started: {message.reason}", "$error")

    def _say(self, text: str, style: str) -> None:
        message = self.query_one("#message", Static)
        message.display = True
        message.update(Content.styled(safe(text), style))

    def action_back(self) -> None:
        self.app.pop_screen()
