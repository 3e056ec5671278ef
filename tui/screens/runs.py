"""The list of runs: where the app starts without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static

from trainwatch.runner.summary import RunSummary
from trainwatch.runner.text import duration, size
from trainwatch.tui import bindings
from trainwatch.tui.aside import aside
from trainwatch.tui.format import ABSENT, fit, roughly, safe
from trainwatch.tui.messages import RunsChanged, RunsChosen, RunsListed
from trainwatch.tui.screens.bound import READ_ONLY
from trainwatch.tui.theme import CALM, MUTED, STRONG, UNKNOWN_MARK, VERDICT_MARKS
from trainwatch.tui.widgets.bar import bar
from trainwatch.tui.widgets.keyline import KeyLine
from trainwatch.tui.widgets.prompt import Prompt
from trainwatch.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from trainwatch.tui.app import TrainwatchApp

EVERY_S = 2.0
KEYS = [
    bindings.OPEN,
    bindings.NEW,
    bindings.RENAME,
    bindings.REMOVE,
    bindings.PRUNE,
    *bindings.LIST_KEYS,
    bindings.QUIT,
    bindings.HELP,
    bindings.PALETTE,
]
COLUMNS = (
    ("state", 12),
    ("name", 21),
    ("step", 12),
    ("", 10),
    ("began", 12),
    ("took", 14),
)
EMPTY_TEXT = Content("\n").join(
    [
        Content.styled("No runs yet.", STRONG),
        Content(""),
        Content.styled("Start one here:        ", MUTED)
        + Content.assemble(("  n", f"bold {CALM}"), "  a command, or a demo"),
        Content.styled("or in another terminal:", MUTED)
        + Content.assemble(("  trainwatch run -- python train.py", STRONG)),
        Content.styled("or watch a demo train: ", MUTED)
        + Content.assemble(("  trainwatch demo", STRONG)),
        Content(""),
        Content.styled("It appears in this list as soon as it has started.", MUTED),
    ]
)


def heading(width: int) -> Content:
    names = "".join(name.ljust(cells) for name, cells in _columns(width))
    return Content.styled(f"  {names}command", MUTED)


def _columns(width: int) -> Sequence[tuple[str, int]]:
    """The columns that fit: the bar and the age give way on 80 cells."""
    if width >= 100:
        return COLUMNS
    return [
        (name, cells) for name, cells in COLUMNS if name in ("state", "name", "step")
    ]


def summary_line(run: RunSummary, now: float, width: int) -> Content:
    """One run in aligned columns."""
    state = run.verdict or run.status
    glyph, style = VERDICT_MARKS.get(state, UNKNOWN_MARK)
    step = ABSENT
    if run.step is not None:
        step = f"{run.step:,}" + (f"/{run.max_steps:,}" if run.max_steps else "")
    began = ABSENT if run.started is None else f"{roughly(now - run.started)} ago"
    took = ABSENT
    if run.started is not None and run.ended is not None:
        took = duration(round(run.ended - run.started))
    elif run.started is not None and run.status in ("starting", "running"):
        took = "still going"
    share = bar(run.step, run.max_steps, 8) if run.max_steps else Content("")
    cells = {
        "state": Content.styled(f"{glyph} {safe(state)}", style),
        "name": Content.styled(safe(run.name or run.id), STRONG),
        "step": Content(step),
        "": share,
        "began": Content.styled(began, MUTED),
        "took": Content.styled(took, MUTED),
    }
    columns = [
        fit(fit(cells[name], space - 1), space) for name, space in _columns(width)
    ]
    command = Content.styled(safe(run.command), MUTED)
    return Content("").join([Content("  "), *columns, command])


class RunsScreen(Screen[None]):
    """All runs, newest first."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "Rows"

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[RunSummary, ...] = ()
        self._reading = False
        self._error = ""
        self._about: Path | None = None
        self.listed = False

    @property
    def watcher(self) -> TrainwatchApp:
        return cast("TrainwatchApp", self.app)

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(("trainwatch", STRONG), ("   runs", MUTED)),
            id="bar",
            markup=False,
        )
        yield Static(id="heading", markup=False)
        yield Rows()
        yield Static(EMPTY_TEXT, id="empty", markup=False)
        yield Static(id="said", markup=False)
        yield Prompt()
        idle = bindings.CHANGES if self.watcher.read_only else ()
        yield KeyLine([key for key in KEYS if key not in idle])

    def on_mount(self) -> None:
        self.set_interval(EVERY_S, self._read)
        self._read()
        self._update()

    def on_screen_resume(self) -> None:
        self._read()

    def on_resize(self) -> None:
        self._update()

    def _read(self) -> None:
        """Read the catalog, unless a reading is still under way."""
        if self._reading or not self.is_current:
            return
        self._reading = True
        catalog = self.watcher.catalog

        def work() -> RunsListed:
            try:
                return RunsListed(tuple(catalog.runs()))
            except Exception as error:  # whatever it is, the user sees it
                return RunsListed((), f"{type(error).__name__}: {error}")

        aside("catalog", self.post_message, work)

    def on_runs_listed(self, message: RunsListed) -> None:
        self._reading = False
        self.listed = True
        self._error = message.error
        if not message.error:
            self._runs = message.runs
        self._update()

    def _update(self) -> None:
        now, width = self.watcher.clock(), self.size.width
        self.query_one(Rows).show(
            [(str(run.folder), summary_line(run, now, width)) for run in self._runs]
        )
        self.set_class(not self._runs, "-empty")
        title = Content.styled(
            f"The runs cannot be read. {safe(self._error)}", "$error"
        )
        if not self._error:
            title = heading(width) if self._runs else Content("")
        self.query_one("#heading", Static).update(title)
        going = sum(run.status in ("starting", "running") for run in self._runs)
        text = (
            f"   {len(self._runs)} runs, {going} going on" if self._runs else "   runs"
        )
        self.query_one("#bar", Static).update(
            Content.assemble(("trainwatch", STRONG), (text, MUTED))
        )
        self.query_one("#empty").display = self.listed and not self._runs

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.action_open()

    def action_open(self) -> None:
        run = self._chosen
        if run is not None:
            self.watcher.open_run(run.folder)

    # --- changing the list ---

    def _may_change(self) -> bool:
        if self.watcher.read_only:
            self._say(READ_ONLY)
        return not self.watcher.read_only

    def _say(self, text: str) -> None:
        line = self.query_one("#said", Static)
        line.update(Content.styled(safe(text), MUTED))
        line.display = bool(text)

    @property
    def _chosen(self) -> RunSummary | None:
        chosen = self.query_one(Rows).chosen
        return next((run for run in self._runs if str(run.folder) == chosen), None)

    def action_rename(self) -> None:
        run = self._chosen
        if run is not None and self._may_change():
            self._about = run.folder
            self.query_one(Prompt).ask("rename", "new name: ", value=run.name)

    def action_remove(self) -> None:
        run = self._chosen
        if run is None or not self._may_change():
            return
        if run.status in ("starting", "running"):
            self._say(f"{run.name} is still going: abort it first")
            return
        self._ask_to_remove([run])

    def action_prune(self) -> None:
        if self._may_change():
            hint = "runs that are over; one that lives always stays"
            self.query_one(Prompt).ask("prune", "keep how many: ", hint)

    @on(Prompt.Closed)
    def _thought_better(self) -> None:
        self.query_one(Rows).focus()

    @on(Prompt.Submitted)
    def _answered(self, event: Prompt.Submitted) -> None:
        self.query_one(Prompt).close()
        self.query_one(Rows).focus()
        catalog, about, value = self.watcher.catalog, self._about, event.value.strip()
        if event.purpose == "rename" and about is not None:
            self._change(lambda: f"now called {catalog.rename(about, value)}")
        elif event.purpose == "prune" and value.isdigit():
            aside(
                "catalog",
                self.post_message,
                lambda: RunsChosen(tuple(catalog.surplus(int(value)))),
            )
        elif event.purpose == "prune":
            self._say(f"{value or 'nothing'} is not a number of runs")

    def on_runs_chosen(self, message: RunsChosen) -> None:
        runs = [run for run in self._runs if run.folder in message.folders]
        if runs:
            self._ask_to_remove(runs)
        else:
            self._say("nothing to remove: there are no more runs that are over")

    def _ask_to_remove(self, runs: Sequence[RunSummary]) -> None:
        from trainwatch.tui.screens.remove import RemoveScreen

        catalog = self.watcher.catalog

        def work() -> str:
            freed = sum(catalog.remove(run.folder) for run in runs)
            many = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
            return f"removed {many}: {size(freed)}"

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(work)

        self.app.push_screen(RemoveScreen(runs), answered)

    def _change(self, work: Callable[[], str]) -> None:
        def told() -> RunsChanged:
            try:
                return RunsChanged(work())
            except Exception as error:  # whatever it is, the user sees it
                return RunsChanged(str(error) or type(error).__name__)

        aside("catalog", self.post_message, told)

    def on_runs_changed(self, message: RunsChanged) -> None:
        self._say(message.said)
        self._read()

    def action_launch(self) -> None:
        if not self._may_change():
            return
        from trainwatch.tui.screens.launch import LaunchScreen

        self.app.push_screen(LaunchScreen())

    def action_leave(self) -> None:
        self.watcher.leave()

    def action_help(self) -> None:
        from trainwatch.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(KEYS))
