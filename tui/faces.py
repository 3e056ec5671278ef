"""
The four faces of a panel: empty, live, stale, ended.

Every panel has all four. Which one it shows is a pure function of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.view import RunView
from trainwatch.tui.format import whole

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
        return Face("empty")
    if view.state.over:
        return Face("ended", "ended" if moves else "")
    if not view.supervised:
        return Face("stale", old(view))
    age = view.verdict.age_s
    quiet = age is not None and age > STALE_S and view.verdict.state in QUIET_VERDICTS
    if moves and quiet and age is not None:
        return Face("stale", f"{whole(age)} old")
    return Face("live")


def old(view: RunView) -> str:
    """How long ago the last event came."""
    last = view.state.last_event
    return "never seen" if last is None else f"{whole(max(0.0, view.now - last))} old"
