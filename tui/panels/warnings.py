"""Warnings by how much they matter."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.review import SHOWN, counts, is_new, ordered
from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.view import RunView
from trainwatch.tui.format import safe, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, NOTE, SEVERITY_MARKS, UNKNOWN_MARK


def counts_line(found: dict[str, int], width: int) -> Content:
    """`✖ 1 serious  ▲ 2 attention …`; closer together where it is narrow."""
    parts = []
    for severity in SHOWN:
        glyph, style = SEVERITY_MARKS[severity]
        count = found.get(severity, 0)
        parts.append(
            Content.styled(f"{glyph} {count} {severity}", style if count else MUTED)
        )
    for gap in ("    ", "   ", "  ", " "):
        line = Content(gap).join(parts)
        if line.cell_length <= width:
            return line
    present = [(part, s) for part, s in zip(parts, SHOWN, strict=True) if found.get(s)]
    line = Content("  ").join(part for part, _ in present)
    if line.cell_length <= width:
        return line
    # Words for what matters, marks for the rest.
    return Content("  ").join(
        part if place < 2 else part[: -len(s) - 1]
        for place, (part, s) in enumerate(present)
    )


def tag(warning: TriagedWarning) -> Content:
    """What stands before the text: `new`, `yours` or `known`; mostly nothing."""
    if is_new(warning):
        return Content.styled("new ", f"bold {NOTE}")
    if warning.by == "yours":
        was = " (was serious)" if warning.was == "serious" else ""
        return Content.styled(f"yours{was} ", NOTE)
    if warning.known:
        return Content.styled("known ", MUTED)
    return Content("")


def warning_line(warning: TriagedWarning, width: int) -> Content:
    """One family of warnings: its mark, its text, how often."""
    glyph, style = SEVERITY_MARKS.get(warning.severity, UNKNOWN_MARK)
    return spread(
        Content.assemble((f"{glyph} ", style), tag(warning), safe(warning.text)),
        Content.styled(f"x{warning.count:,}", MUTED),
        width,
    )


class WarningsPanel(Panel):
    """Counts by severity, and the newest of the most serious."""

    TITLE = "Warnings"
    PROMISE = "None so far. Each is named once, with how often, why and what to do."
    MISSED = "There were no warnings."
    ADOPTED = "Not seen: the output of an adopted run is not ours to read."
    MOVES = False
    GROWS = True

    def has_data(self, view: RunView) -> bool:
        return bool(view.state.warnings)

    def facts(self, view: RunView) -> object:
        return view.state.warnings

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        found = ordered(view.state.warnings.values())
        room = height - 1
        lines = [counts_line(counts(found), width)]
        shown = found[:room] if len(found) <= room else found[: room - 1]
        lines += [warning_line(warning, width) for warning in shown]
        if len(shown) < len(found):
            lines.append(
                Content.styled(f"and {len(found) - len(shown)} more: w", MUTED)
            )
        return lines
