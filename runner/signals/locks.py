"""
Locks on files: which path, who holds it.

Source: `/proc/locks` (proc(5)): one line a lock, `->` before a process that waits.
Only locks of this machine are there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from trainwatch.runner.signals.proc import Proc


@dataclass(frozen=True)
class Lock:
    pid: int
    """-1 where the holder is on another machine or its lock is of an open file."""
    device: tuple[int, int]
    inode: int
    waits: bool = False


def parse(text: str) -> list[Lock]:
    """
    The locks of `/proc/locks`:
    `1: FLOCK  ADVISORY  WRITE 123 fe:00:456 0 EOF`, `1: -> FLOCK …` for one who waits.
    """
    found = []
    for line in text.splitlines():
        words = line.split()
        waits = len(words) > 1 and words[1] == "->"
        if waits:
            del words[1]
        if len(words) < 6 or words[5].count(":") != 2:
            continue
        major, minor, inode = words[5].split(":")
        try:
            device = (int(major, 16), int(minor, 16))
            found.append(Lock(int(words[4]), device, int(inode), waits))
        except ValueError:
            continue
    return found


def holder(proc: Proc, path: str, waiting: int) -> int | None:
    """The pid that holds a lock on `path` for which `waiting` waits, if it is seen."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    place = (os.major(facts.st_dev), os.minor(facts.st_dev)), facts.st_ino
    for lock in parse(proc.text("locks") or ""):
        if (lock.device, lock.inode) == place and not lock.waits:
            return lock.pid if lock.pid > 0 else None
    # On overlays and btrfs the device of a file is not that of its locks.
    for lock in parse(proc.text("locks") or ""):
        if lock.inode == facts.st_ino and not lock.waits and lock.pid > 0:
            return lock.pid
    return None
