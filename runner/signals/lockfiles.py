"""
A lock that is asked for again and again, with a sleep between: `filelock` and the hub's
locks by `flock` without waiting, torch's builds by a file that must go away.

From outside such a process only sleeps. Here is which lock it may be: one on a file
that it has open, one that another process holds near it, or the lock file of a build
that the output has named. Linux only; a heuristic, and told as "likely".
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from trainwatch.runner.signals.locks import parse
from trainwatch.runner.signals.proc import Proc

BUILD = re.compile(r"Using (\S.*?) as PyTorch extensions root")
"""What torch.utils.cpp_extension prints before it builds or waits."""
SUFFIXES = (".lock", ".lck", "/lock")
CACHES = ("huggingface", "torch_extensions", "/.triton/", "torchinductor")
MOST = 64


def awaited(
    proc: Proc, pid: int, family: set[int], built: str
) -> tuple[str, int | None] | None:
    """
    The lock file that `pid` may be waiting for, and who holds it; None for none.

    Args:
        family: the run's own processes, whose locks are not waited for.
        built: the folder of builds that the output named, "" for none.
    """
    taken = {
        (lock.device, lock.inode): lock.pid
        for lock in parse(proc.text("locks") or "")
        if not lock.waits and lock.pid > 0 and lock.pid not in family
    }
    for fd in proc.names(pid, "fd")[:MOST]:
        path = proc.link(pid, "fd", fd) or ""
        holder = taken.get(_place(path)) if path.startswith("/") else None
        if holder is not None:
            return path, holder
    for path, holder in _held(proc, set(taken.values())):
        if _near(proc, pid, path) and _place(path) in taken:
            return path, holder
    if built:
        for found in sorted(Path(built).glob("**/lock"))[:1]:
            return os.fspath(found), None
    return None


def _place(path: str) -> tuple[tuple[int, int], int]:
    try:
        facts = os.stat(path)
    except OSError:
        return (0, 0), 0
    return (os.major(facts.st_dev), os.minor(facts.st_dev)), facts.st_ino


def _held(proc: Proc, holders: set[int]) -> list[tuple[str, int]]:
    """Lock files that `holders` have open."""
    found = []
    for holder in sorted(holders)[:MOST]:
        for fd in proc.names(holder, "fd")[:MOST]:
            path = proc.link(holder, "fd", fd) or ""
            if path.endswith(SUFFIXES):
                found.append((path, holder))
    return found


def _near(proc: Proc, pid: int, path: str) -> bool:
    """In a cache that libraries share, or below where `pid` works."""
    here = proc.link(pid, "cwd")
    inside = here is not None and path.startswith(here.rstrip("/") + "/")
    return inside or any(cache in path for cache in CACHES)
