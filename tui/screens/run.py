"""The run screen: everything about one run at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget

from trainwatch.runner.view import RunView
from trainwatch.tui.bindings import RUN_KEYS
from trainwatch.tui.panels.console import ConsolePanel
from trainwatch.tui.panels.findings import FindingsPanel
from trainwatch.tui.panels.generation import GenerationPanel
from trainwatch.tui.panels.headline import Headline
from trainwatch.tui.panels.loss import LossPanel
from trainwatch.tui.panels.memory import MemoryPanel
from trainwatch.tui.panels.phase import PhasePanel
from trainwatch.tui.panels.ranks import RanksPanel
from trainwatch.tui.panels.resume import ResumeLine
from trainwatch.tui.panels.trainable import TrainablePanel
from trainwatch.tui.panels.warnings import WarningsPanel
from trainwatch.tui.screens.bound import Bound


class RunScreen(Bound):
    """One column on 80x24, two on 120x40, three on 200x60."""

    KEYS = RUN_KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*RUN_KEYS]

    def body(self) -> Iterable[Widget]:
        view = Bound.view
        yield Headline().data_bind(view)
        yield ResumeLine().data_bind(view)
        yield Vertical(
            FindingsPanel().data_bind(view),
            RanksPanel().data_bind(view),
            self._panels(),
            ConsolePanel().data_bind(view),
            id="body",
        )

    def _panels(self) -> Widget:
        view = Bound.view
        return Container(
            Vertical(
                PhasePanel().data_bind(view),
                GenerationPanel().data_bind(view),
                id="left",
            ),
            Vertical(
                MemoryPanel().data_bind(view),
                TrainablePanel().data_bind(view),
                id="right",
            ),
            Container(
                WarningsPanel().data_bind(view), LossPanel().data_bind(view), id="third"
            ),
            id="panels",
        )

    def watch_view(self, view: RunView) -> None:
        lead = view.state.lead
        generating = bool(lead and lead.generations and not lead.generations[-1].done)
        self.set_class(generating and not view.state.over, "-generating")

    def action_back(self) -> None:
        self.watcher.go_home()

    def action_warnings(self) -> None:
        from trainwatch.tui.screens.warnings import WarningsScreen

        self.app.push_screen(WarningsScreen())

    def action_memory(self) -> None:
        from trainwatch.tui.screens.memory import MemoryScreen

        self.app.push_screen(MemoryScreen())

    def action_console(self) -> None:
        from trainwatch.tui.screens.console import ConsoleScreen

        self.app.push_screen(ConsoleScreen())
