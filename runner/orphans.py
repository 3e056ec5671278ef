"""
Processes that end as ours: the keeper, and on Linux what it leaves behind.

As a child subreaper (`prctl(PR_SET_CHILD_SUBREAPER)`, Linux 3.4) the supervisor
becomes the parent of the run's child when the keeper dies, so the exit code is
still seen.
"""

from __future__ import annotations

import os
import sys

_SET_CHILD_SUBREAPER = 36

_ended: dict[int, int] = {}


def adopt() -> None:
    """Become the parent of orphans among our descendants, where that exists."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Collect every child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _ended[pid] = os.waitstatus_to_exitcode(status)


def exit_of(pid: int) -> int | None:
    """How a child of ours ended (negative: a signal); None while it has not, or
    when it is not ours."""
    reap()
    return _ended.get(pid)
