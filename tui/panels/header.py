"""The first line of every screen of a run: which one, in what state, how far."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content

from trainwatch.runner.state import Process, RunState
from trainwatch.runner.text import duration
from trainwatch.runner.view import NOTHING, RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.format import elapsed, safe, spread
from trainwatch.tui.panels.pace import left_s, stepped_long_ago
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import CALM, FAINT, MUTED, UNKNOWN_MARK, VERDICT_MARKS, WARN
from trainwatch.tui.widgets.bar import bar

GAP = "   "


class Header(Panel):
    """Name, command, verdict, time, step and time left, over a line of progress."""

    DEFAULT_CSS = """
    Header {
        height: 2;
        border: none;
        background: $panel;
        &.-stale { text-opacity: 100%; }
    }
    """
    AGES = True
    NARROW: ClassVar[int] = 100

    def __init__(self, read_only: bool = False) -> None:
        super().__init__()
        self._read_only = read_only

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return (
            view is NOTHING,
            view.state.run,
            view.verdict.state,
            view.caught_up,
            lead and (lead.step, lead.training, lead.steps.last_ended),
        )

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        first = spread(identity(view.state), self._right(view, width), width)
        return [first, progress(view.state.lead, width)]

    def _right(self, view: RunView, width: int) -> Content:
        right = whereabouts(view, width)
        if not self._read_only:
            return right
        return Content.assemble(("read-only", WARN), GAP, right)


def identity(state: RunState) -> Content:
    """The run's name and its command."""
    name = safe(state.run.name or state.run.id) or "trainwatch"
    command = safe(command_line(state.run.argv))
    return Content.assemble((name, "bold"), GAP, (command, MUTED))


def command_line(argv: Sequence[str]) -> str:
    """The command as typed, the program without its folder."""
    if not argv:
        return ""
    return shlex.join([argv[0].rpartition("/")[2] or argv[0], *argv[1:]])


def whereabouts(view: RunView, width: int) -> Content:
    """State, time and step, separated by spaces."""
    state, lead = view.state, view.state.lead
    glyph, style = VERDICT_MARKS.get(view.verdict.state, UNKNOWN_MARK)
    parts: list[Content] = []
    if view is not NOTHING:
        parts.append(Content.styled(f"{glyph} {view.verdict.state}", f"bold {style}"))
    if not view.caught_up:
        parts.append(Content.styled("reading the log", MUTED))
    if state.run.started is not None:
        until = state.run.ended if state.over else view.now
        parts.append(Content(elapsed((until or view.now) - state.run.started)))
    if lead is not None and lead.step is not None and lead.training is not None:
        goal = lead.training.max_steps
        parts.append(
            Content(f"step {lead.step:,}/{goal:,}" if goal else f"step {lead.step:,}")
        )
        left = left_s(lead)
        if left and not state.over and not stepped_long_ago(lead, view.now):
            about = "~" if width < Header.NARROW else "about "
            parts.append(Content.styled(f"{about}{duration(_round(left))} left", MUTED))
    return Content(GAP if width >= Header.NARROW else "  ").join(parts)


def progress(lead: Process | None, width: int) -> Content:
    """A line across the screen: the steps done of all steps."""
    if lead is None or lead.training is None or not lead.training.max_steps:
        return Content.styled("─" * width, FAINT)
    return bar(lead.step, lead.training.max_steps, width, CALM)


def _round(seconds: float) -> float:
    """To the minute above ten minutes: a forecast has no seconds."""
    return round(seconds / 60) * 60 if seconds > 600 else seconds
