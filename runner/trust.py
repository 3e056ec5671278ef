"""
How far the word of a process is taken.

What comes over the event socket may be anybody's: a signal goes only to a process
of the run and only the one that our probes choose, and only our own files are read.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil

from trainwatch.runner.state import Process

SIGNALS = {int(signal.SIGUSR2)}
"""As `probes/failures.py` chooses it."""
if sys.platform == "linux":
    SIGNALS.add(int(signal.SIGRTMIN) + 5)


def dump_file(process: Process, folder: Path, child: int) -> Path | None:
    """
    The file into which `process` dumps its stacks when it is sent its signal; None
    where it is not asked.

    Args:
        process: as it described itself.
        folder: the run directory.
        child: the command.
    """
    if process.stack_file is None or process.stack_signal not in SIGNALS:
        return None
    path = Path(process.stack_file)
    if path.parent != folder / "flight" or path.is_symlink():
        return None
    return path if belongs(process.pid, child) else None


def belongs(pid: int, child: int) -> bool:
    """Whether `pid` is the command, below it, of its session, or left to us by it."""
    try:
        above = {parent.pid for parent in psutil.Process(pid).parents()}
        session = os.getsid(pid)
    except (psutil.Error, OSError, OverflowError, ValueError):
        return False
    return pid == child or session == child or bool(above & {child, os.getpid()})
