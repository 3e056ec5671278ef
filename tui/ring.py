"""What calls the person at this terminal: a bell, and a message where it can."""

from __future__ import annotations

from trainwatch.runner.notice import END, ending
from trainwatch.runner.state import Notice
from trainwatch.runner.text import plain
from trainwatch.runner.view import RunView

LONGEST = 200


class Ring:
    """Which notices of a run came while it was watched here."""

    def __init__(self) -> None:
        self._known: set[str] | None = None

    def fresh(self, view: RunView) -> list[Notice]:
        """New ones in a look at the run; what is there at first is not new."""
        if not view.caught_up:
            return []
        found = {notice.key: notice for notice in view.state.notices}
        if view.state.over and END not in found:
            # Nobody was left to tell it.
            found[END] = ending(view.state, view.verdict, view.now)
        known, self._known = self._known, set(found)
        if known is None:
            return []
        return [notice for key, notice in found.items() if key not in known]


def osc9(notice: Notice) -> str:
    """The control sequence that makes some terminals show a notification (iTerm2,
    WezTerm, Ghostty, kitty, Windows Terminal); others ignore it."""
    text = plain(f"trainwatch: {notice.title}: {notice.text}".replace("\n", " "))
    return f"\x1b]9;{text[:LONGEST]}\x07"
