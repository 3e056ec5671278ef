"""
How much of a save lies on the disk already.

A thread of its own looks twice a second: the file system that is being written to
may be the one that hangs, and the supervisor must not hang with it. Counted are
the files that changed since the save began, by what the disk holds of them: a file
may have its full length long before its bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.5
IDLE_S = 2.0
"""Nobody asked for so long: the thread ends."""
SLACK_S = 1.0
BLOCK = 512
SMALL = 1 << 16
"""Files up to this size may lie in no block of their own."""
TEMPORARY = ".tmp"
"""safetensors writes a file under a name that begins so, beside where it will be."""


@dataclass(frozen=True)
class File:
    size: int
    modified: float
    held: int
    """Bytes in blocks."""


def files(path: Path) -> dict[str, File]:
    """The files of a save to `path`: all of a folder, or those of one file's name."""
    found: dict[str, File] = {}
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                _add(found, os.path.join(folder, name))
    elif path.parent.is_dir():
        for name in os.listdir(path.parent):
            if name.startswith((path.name, TEMPORARY)):
                _add(found, os.path.join(path.parent, name))
    return found


def _add(found: dict[str, File], name: str) -> None:
    try:
        stat = os.stat(name)
    except OSError:
        return  # Renamed or removed meanwhile.
    found[name] = File(stat.st_size, stat.st_mtime, stat.st_blocks * BLOCK)


def written(
    now: Mapping[str, File], first: Mapping[str, File], since: float
) -> int | None:
    """
    Bytes on the disk that were written since `since` (wall clock), where `first`
    was found at the first look; None where the file system tells no blocks.
    """
    changed = [
        file
        for name, file in now.items()
        if file != first.get(name) or file.modified >= since - SLACK_S
    ]
    if any(file.size > SMALL for file in changed) and not any(
        file.held for file in changed
    ):
        return None
    return sum(
        file.size if file.size <= SMALL else min(file.size, file.held)
        for file in changed
    )


class Growth:
    """
    The save that is looked at now, by a thread of its own.

    Args:
        clock: the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._save: tuple[Path, float] | None = None
        self._asked = 0.0
        self._bytes: int | None = None

    def bytes(self, path: Path, since: float) -> int | None:
        """Bytes of the save to `path` that began at `since`; None before a look."""
        with self._lock:
            self._asked = self._clock()
            if self._save != (path, since):
                self._save, self._bytes = (path, since), None
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look, name="growth", daemon=True
                )
                self._thread.start()
            return self._bytes

    def _look(self) -> None:
        save: tuple[Path, float] | None = None
        first: Mapping[str, File] = {}
        while True:
            with self._lock:
                if self._clock() - self._asked > IDLE_S:
                    self._thread, self._save = None, None
                    return
                wanted = self._save
            assert wanted is not None
            path, since = wanted
            try:
                found = files(path)
            except OSError:
                found = {}
            if wanted != save:
                save, first = wanted, found
            count = written(found, first, since)
            with self._lock:
                if self._save == wanted:
                    self._bytes = count
            time.sleep(LOOK_S)
