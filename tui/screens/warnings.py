"""All warnings of a run: the list, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static

from trainwatch.runner.review import SHOWN, counts, facts, news, notes, ordered
from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.triage.marks import Mark
from trainwatch.runner.view import RunView
from trainwatch.tui import bindings
from trainwatch.tui.format import safe
from trainwatch.tui.panels.warnings import counts_line, tag
from trainwatch.tui.screens.bound import Bound
from trainwatch.tui.screens.mark import MarkScreen
from trainwatch.tui.theme import CALM, MUTED, NOTE, SEVERITY_MARKS, UNKNOWN_MARK, WARN
from trainwatch.tui.widgets.prompt import Prompt
from trainwatch.tui.widgets.rows import Rows

KEYS = [
    bindings.BACK,
    bindings.SEARCH,
    bindings.MARK,
    bindings.EXPORT,
    *bindings.LIST_KEYS,
    *bindings.HANDS_KEYS,
]
Row = tuple[str | None, Content]


def matching(warnings: Iterable[TriagedWarning], needle: str) -> list[TriagedWarning]:
    """Warnings that contain `needle` in any of their texts."""
    folded = needle.casefold()
    return [w for w in warnings if folded in _all_texts(w).casefold()]


def _all_texts(warning: TriagedWarning) -> str:
    told = (warning.severity, warning.kind, *notes(warning))
    texts = (warning.text, warning.why, warning.do, warning.evidence)
    return " ".join((*told, *texts, *(text for _, text in facts(warning))))


def rows_of(warnings: list[TriagedWarning]) -> list[Row]:
    """A heading for each severity and, under it, its warnings."""
    rows: list[Row] = []
    found = counts(warnings)
    for severity in SHOWN:
        if not found.get(severity):
            continue
        glyph, style = SEVERITY_MARKS[severity]
        heading = Content.assemble(
            (f"{glyph} {severity}", f"bold {style}"), (f"  {found[severity]}", MUTED)
        )
        rows.append((None, heading))
        for warning in warnings:
            if warning.severity == severity:
                count = f"x{warning.count:,}".rjust(8)
                line = Content.assemble(
                    (f"{count}  ", MUTED), tag(warning), safe(warning.text)
                )
                rows.append((warning.key, line))
    return rows


def in_full(warning: TriagedWarning) -> Content:
    """Everything known of one warning, as paragraphs that wrap."""
    glyph, style = SEVERITY_MARKS.get(warning.severity, UNKNOWN_MARK)
    said = [warning.kind, *notes(warning)]
    head = Content.assemble(
        (f"{glyph} {warning.severity}", f"bold {style}"),
        *((f" · {safe(text)}", MUTED) for text in said if text),
    )
    blocks = [head, Content.styled(safe(warning.text), "bold")]
    for label, text in (
        ("why", warning.why),
        ("do", warning.do),
        ("evidence", warning.evidence),
    ):
        if text:
            blocks.append(Content.assemble((f"{label}\n", CALM), safe(text)))
    blocks.append(_table([(label, safe(text)) for label, text in facts(warning)]))
    return Content("\n\n").join(blocks)


def _table(rows: list[tuple[str, str]]) -> Content:
    return Content("\n").join(
        Content.assemble((label.ljust(11), MUTED), text) for label, text in rows
    )


class WarningsScreen(Bound):
    """Warnings by severity; the one under the cursor with why and what to do."""

    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]
    AUTO_FOCUS = "Rows"

    def __init__(self) -> None:
        super().__init__()
        self._needle = ""
        self._known: object = None
        self._problems: tuple[str, ...] = ()

    def body(self) -> Iterable[Widget]:
        yield Static(id="where", markup=False)
        yield Container(
            Rows(id="list"),
            VerticalScroll(Static(id="detail", markup=False), can_focus=False),
            id="split",
        )

    def on_mount(self) -> None:
        self._update(self.view)

    def watch_view(self, view: RunView) -> None:
        same = view.state.warnings is self._known and view.problems == self._problems
        if not same:
            self._update(view)

    def _update(self, view: RunView) -> None:
        self._known, self._problems = view.state.warnings, view.problems
        found = matching(ordered(view.state.warnings.values()), self._needle)
        self.query_one(Rows).show(rows_of(found))
        self.query_one("#where", Static).update(self._where(view, len(found)))
        self._show_detail()

    def _where(self, view: RunView, found: int) -> Content:
        """The counts, or what is searched, with what is new or wrong under them."""
        warnings = view.state.warnings
        line = counts_line(counts(warnings.values()), 76)
        if not warnings:
            line = Content.styled("No warnings so far.", MUTED)
        if self._needle:
            line = Content.styled(
                f"/{safe(self._needle)}: {found} of {len(warnings)}", NOTE
            )
        if view.problems:
            more = len(view.problems) - 1
            tail = f" and {more} more" if more else ""
            return line + Content.styled(f"\n{safe(view.problems[0])}{tail}", WARN)
        if said := news(view.state):
            line += Content.styled(f"\n{said}", MUTED)
        return line

    def _show_detail(self) -> None:
        key = self.query_one(Rows).chosen
        warning = self.view.state.warnings.get(key) if key else None
        text = in_full(warning) if warning else Content("")
        if not self.view.state.warnings:
            text = Content.styled(
                "Each kind of warning stands here once: how often it came, from "
                "where, why, and what to do.",
                MUTED,
            )
        self.query_one("#detail", Static).update(text)

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        self._show_detail()

    def action_mark(self) -> None:
        key = self.query_one(Rows).chosen
        warning = self.view.state.warnings.get(key) if key else None
        if warning is not None:
            self.app.push_screen(MarkScreen(warning), self._marked)

    def _marked(self, mark: Mark | None) -> None:
        if mark is not None:
            self.watcher.mark(mark)

    def action_export(self) -> None:
        run = self.view.state.run.id or "run"
        self.query_one(Prompt).ask(
            "export", "write to: ", "a name that ends with .md or .json", f"{run}.md"
        )

    def action_search(self) -> None:
        self.query_one(Prompt).ask("search", "/", "only warnings with this text")

    def action_back(self) -> None:
        if self._needle:
            self._filter("")
        else:
            super().action_back()

    def _filter(self, needle: str) -> None:
        self._needle = needle
        self._update(self.view)

    @on(Prompt.Changed)
    def _searching(self, event: Prompt.Changed) -> None:
        if event.purpose == "search":
            self._filter(event.value)

    @on(Prompt.Submitted)
    def _searched(self, event: Prompt.Submitted) -> None:
        if event.purpose not in ("search", "export"):
            return
        self.query_one(Prompt).close()
        self.query_one(Rows).focus()
        if event.purpose == "export" and event.value.strip():
            self.watcher.export(Path(event.value.strip()))

    @on(Prompt.Closed)
    def _search_closed(self, event: Prompt.Closed) -> None:
        if event.purpose == "search":
            self._filter("")
        self.query_one(Rows).focus()
