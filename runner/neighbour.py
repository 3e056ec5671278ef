"""
The other one of supervisor and keeper: stopped, or ending again and again.

Both hold what the run needs, so each looks after the other. A stopped keeper would
let the child's terminal fill up, and the child wait on a print; a stopped supervisor
answers nobody. Neither is ever meant to stand still, so whoever stopped it, it goes
on.
"""

from __future__ import annotations

import os
import signal
import sys

from trainwatch.runner.files import complain

LOOK_S = 0.5
PAUSES_S = (0.0, 0.2, 0.5, 1, 2, 5, 10, 30)
STEADY_S = 60.0
"""Whoever has lived so long did not end at once."""


class Neighbour:
    """
    Args:
        pid: the other process; only looked at while it is known to live.
        name: what it is called in our log.
    """

    def __init__(self, pid: int, name: str) -> None:
        self.pid = pid
        self.name = name
        self._next = 0.0

    def look(self, mono: float) -> bool:
        """Twice a second: let it go on where it is stopped; True when it was."""
        if mono < self._next:
            return False
        self._next = mono + LOOK_S
        if not stopped(self.pid):
            return False
        try:
            os.kill(self.pid, signal.SIGCONT)
        except OSError as error:
            complain(f"the {self.name} is stopped and stays so: {error}")
            return False
        complain(f"the {self.name} was stopped, and goes on")
        return True


class Restarts:
    """
    When one that ended is started again: at once, then less and less often, so that
    one which ends at once costs nothing.

    Args:
        name: what it is called in our log.
        first: seconds before the first start.
    """

    def __init__(self, name: str, first: float = 0.0) -> None:
        self.name = name
        self.first = first
        self.count = 0
        """Starts in a row that did not last."""
        self._at: float | None = None
        self._started: float | None = None

    def due(self, mono: float) -> bool:
        """Whether it is time; asked again and again while there is none."""
        if self._at is None:
            if self._started is not None and mono - self._started > STEADY_S:
                self.count = 0
            pause = max(self.first, PAUSES_S[min(self.count, len(PAUSES_S) - 1)])
            self._at = mono + pause
            if self.count:
                complain(
                    f"the {self.name} ended {self.count + 1} times in a row: "
                    f"another in {pause:g} s"
                )
        if mono < self._at:
            return False
        self._at = None
        self._started = mono
        self.count += 1
        return True

    def why(self) -> str:
        """Why there is another one, in words."""
        again = f", {self.count} times in a row" if self.count > 1 else ""
        return f"the {self.name} had ended{again}"


def stopped(pid: int) -> bool:
    """Whether a signal has stopped the process. One that a debugger holds is not."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] == b"T"
        except (OSError, IndexError):
            return False
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
