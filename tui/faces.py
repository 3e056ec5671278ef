"""
The four faces of a panel: empty, live, stale, ended.

Every panel has all four. Which one it shows is a pure function of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.text import duration
from trainwatch.runner.view import RunView

STALE_S = 30.0
"""Without any progress for this long, what a panel shows is greyed and dated."""
QUIET_VERDICTS = ("slow", "waiting", "stuck", "failing", "lost")
FACES = ("empty", "live", "stale", "ended")


@dataclass(frozen=True)
class Face:
    name: str = "empty"
    note: str = ""
    """For the title: since when, or why."""


EMPTY = Face()


def face_of(view: RunView, has_data: bool, moves: bool = True) -> Face:
    """
    The face of a panel.

    Args:
        view: the run.
        has_data: there is something to show.
        moves: what it shows changes as the run goes on, and so grows old with it.
    """
    if not has_data:
        return Face("empty", "ended" if view.state.over else "")
    if view.state.over:
        return Face("ended", "ended")
    if not view.supervised:
        return Face("stale", unsupervised(view))
    age = view.verdict.age_s
    quiet = age is not None and age > STALE_S and view.verdict.state in QUIET_VERDICTS
    if moves and quiet and age is not None:
        return Face("stale", f"nothing new for {duration(round(age))}")
    return Face("live")


def unsupervised(view: RunView) -> str:
    """Why nothing new can be known, and since when."""
    last = view.state.last_event
    if last is None:
        return "not supervised"
    return f"last heard {duration(round(max(0.0, view.now - last)))} ago"
