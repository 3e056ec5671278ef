"""Who is at the other end of a pipe. Linux only."""

from __future__ import annotations

import os

from trainwatch.runner.signals.proc import Proc


def other_end(proc: Proc, pid: int, target: str) -> int | None:
    """
    Another process that has the pipe `target` (`pipe:[NUMBER]`) open; None where
    none is seen.
    """
    if not target.startswith("pipe:"):
        return None
    mine = os.getpid()
    for name in proc.names():
        if not name.isdigit() or int(name) in (pid, mine):
            continue
        for fd in proc.names(name, "fd"):
            if proc.link(name, "fd", fd) == target:
                return int(name)
    return None
