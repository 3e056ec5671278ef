"""All warnings of a run: the list, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static

from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.view import RunView
from trainwatch.tui import bindings
from trainwatch.tui.format import safe
from trainwatch.tui.panels.warnings import SHOWN, by_severity, counts, counts_line
from trainwatch.tui.screens.bound import Bound
from trainwatch.tui.theme import CALM, MUTED, SEVERITY_MARKS, UNKNOWN_MARK
from trainwatch.tui.widgets.prompt import Prompt
from trainwatch.tui.widgets.rows import Rows

KEYS = [bindings.BACK, bindings.SEARCH, *bindings.LIST_KEYS, *bindings.HANDS_KEYS]
Row = tuple[str | None, Content]


def matching(warnings: Iterable[TriagedWarning], needle: str) -> list[TriagedWarning]:
    """Warnings that contain `needle` in any of their texts."""
    folded = needle.casefold()
    return [
        w
        for w in warnings
        if folded
        in " ".join((w.text, w.why, w.do, w.origin, w.phase, w.severity)).casefold()
    ]


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
                line = Content.assemble((f"{count}  ", MUTED), safe(warning.text))
                rows.append((warning.key, line))
    return rows


def in_full(warning: TriagedWarning) -> Content:
    """Everything known of one warning, as paragraphs that wrap."""
    glyph, style = SEVERITY_MARKS.get(warning.severity, UNKNOWN_MARK)
    kind = f" · {safe(warning.kind)}" if warning.kind else ""
    blocks = [
        Content.assemble(
            (f"{glyph} {warning.severity}", f"bold {style}"), (kind, MUTED)
        ),
        Content.styled(safe(warning.text), "bold"),
    ]
    for label, text in (
        ("why", warning.why),
        ("do", warning.do),
        ("evidence", warning.evidence),
    ):
        if text:
            blocks.append(Content.assemble((f"{label}\n", CALM), safe(text)))
    blocks.append(_table(_facts(warning)))
    return Content("\n\n").join(blocks)


def _facts(warning: TriagedWarning) -> list[tuple[str, str]]:
    steps = "outside the steps"
    if warning.first_step is not None:
        steps = f"{warning.first_step:,}"
        if warning.last_step not in (None, warning.first_step):
            steps += f" to {warning.last_step:,}"
    return [
        ("seen", f"{warning.count:,} times" if warning.count != 1 else "once"),
        ("steps", steps),
        ("phase", safe(warning.phase)),
        ("ranks", ", ".join(map(str, warning.ranks))),
        ("from", safe(warning.origin)),
        ("by way of", safe(warning.source)),
        ("rule", safe(warning.rule)),
    ]


def _table(facts: list[tuple[str, str]]) -> Content:
    return Content("\n").join(
        Content.assemble((label.ljust(11), MUTED), text)
        for label, text in facts
        if text
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
        if view.state.warnings is not self._known:
            self._update(view)

    def _update(self, view: RunView) -> None:
        self._known = view.state.warnings
        found = matching(by_severity(view.state), self._needle)
        self.query_one(Rows).show(rows_of(found))
        line = counts_line(counts(view.state.warnings.values()), 76)
        if not view.state.warnings:
            line = Content.styled("No warnings so far.", MUTED)
        elif self._needle:
            text = f"   /{self._needle}: {len(found)} of {len(view.state.warnings)}"
            line += Content.styled(text, MUTED)
        self.query_one("#where", Static).update(line)
        self._show_detail()

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
        if event.purpose == "search":
            self.query_one(Prompt).close()
            self.query_one(Rows).focus()

    @on(Prompt.Closed)
    def _search_closed(self, event: Prompt.Closed) -> None:
        if event.purpose == "search":
            self._filter("")
        self.query_one(Rows).focus()
