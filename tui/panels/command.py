"""What came of the last command, in one line or two."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive

from trainwatch.runner.state import Command, RunState
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.format import ago, safe, spread, whole
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import CALM, MUTED, OUTCOME_MARKS, UNKNOWN_MARK

SAME_S = 2.0
"""A command in the log this much older than ours was asked by somebody else."""


@dataclass(frozen=True)
class Asked:
    """A command this app has asked for, and its outcome once it is known."""

    command: str = ""
    asked: float = 0.0
    outcome: str | None = None
    detail: str = ""
    path: str = ""
    finished: float | None = None


def newest(state: RunState, asked: Asked | None) -> Command | Asked | None:
    """The command to show: the log's account of it where the log has one."""
    logged = state.commands[-1] if state.commands else None
    if asked is None or logged is None:
        return logged or asked
    if logged.asked < asked.asked - SAME_S:
        return asked
    if logged.outcome is None and asked.outcome is not None:
        return asked
    return logged


class CommandLine(Panel):
    """The newest command. Hidden until there is one."""

    DEFAULT_CSS = """
    CommandLine {
        height: auto;
        max-height: 2;
        border: none;
        background: $surface;
    }
    """
    AGES = True
    GROWS = True

    asked: reactive[Asked | None] = reactive(None, repaint=False, init=False)
    """The last command of this app."""

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        return newest(view.state, self.asked)

    def on_mount(self) -> None:
        self._update()

    def watch_view(self, view: RunView) -> None:
        self._update()

    def watch_asked(self, asked: Asked | None) -> None:
        self._update()

    def _update(self) -> None:
        self.display = newest(self.view.state, self.asked) is not None
        self._show(self.view)

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        command = newest(view.state, self.asked)
        if command is None:
            return []
        if command.outcome is None:
            glyph, style, word = "◔", CALM, "under way"
            age = f"for {whole(max(0.0, view.now - command.asked))}"
        else:
            glyph, style = OUTCOME_MARKS.get(command.outcome, UNKNOWN_MARK)
            word = safe(command.outcome)
            age = ago(max(0.0, view.now - (command.finished or command.asked)))
        head = f"{glyph} {safe(command.command)} {word}"
        first = safe(command.detail)
        if command.path not in command.detail:
            first = f"{first} {safe(command.path)}".strip()
        room = width - len(head) - len(age) - 3
        second = ""
        if len(first) > room and room > 20:
            begin = textwrap.wrap(first, room)[0]
            first, second = begin, first[len(begin) :].strip()
        line = Content.assemble((head, f"bold {style}"), "  ", first)
        lines = [spread(line, Content.styled(age, MUTED), width)]
        return [*lines, Content(f"  {second}")] if second else lines
