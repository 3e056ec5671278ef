"""How much lies below a folder: watching all of a disk would stop the watcher."""

from __future__ import annotations

import os
from pathlib import Path

MOST = 5_000
"""Folders below one that is watched. Each takes an inotify watch and 30 us."""


def too_wide(folder: Path, most: int = MOST) -> bool:
    """Whether more than `most` folders lie below `folder`; links are not followed."""
    count = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                below = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        except (OSError, ValueError):
            continue
        count += len(below)
        if count > most:
            return True
        waiting += below
    return False
