"""The last lines the program wrote."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.view import RunView
from trainwatch.tui.format import lines_of, safe
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED

HELD = 64
"""Lines compared to see whether the end of the output changed."""


class ConsolePanel(Panel):
    """The end of the program's output, without control sequences."""

    TITLE = "Console"
    PROMISE = "Nothing written yet. The last lines of the program's output stand here."
    MISSED = "The program wrote nothing."
    ADOPTED = "Not seen: it was adopted while it ran, and writes where it wrote before."
    MOVES = False

    def has_data(self, view: RunView) -> bool:
        return bool(view.console)

    def facts(self, view: RunView) -> object:
        return view.console[-HELD:], view.console_lines

    def title(self, view: RunView) -> Content:
        title = super().title(view)
        if view.console_lines:
            title += Content.styled(f" · {lines_of(view.console_lines)}", MUTED)
        return title

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        return [Content(safe(line)) for line in view.console[-height:]]
