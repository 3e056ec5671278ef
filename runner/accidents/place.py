"""
The file that was probably meant where there is none: found by its name, nearby.

A bounded search: so many entries, so many seconds, and no folder that holds what
others wrote.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ENTRIES = 4_000
SECONDS = 0.25
DEEP = 3
"""Folders below, and ABOVE folders above with what lies DEEP - 1 below them."""
ABOVE = 2
ALIKE = 0.75
ALIKE_PROGRAM = 0.85
SKIP = {
    "node_modules",
    "site-packages",
    "__pycache__",
    "wandb",
    "mlruns",
    "proc",
    "sys",
}


def nearby(name: str, folder: Path, most: int = 3) -> list[Path]:
    """
    Files or folders near `folder` that `name` may have meant, the likeliest first:
    those of the same name, then those in its own folder with a name much like it.
    """
    wanted = Path(name).name
    if not wanted or wanted in (".", ".."):
        return []
    same = [path for path in _walk(folder) if path.name == wanted]
    tail = Path(name).parts[-2:]
    same.sort(key=lambda path: path.parts[-len(tail) :] != tail)  # Else nearest first.
    found = same[:most]
    own = (folder / name).parent
    if not found and own.is_dir():
        found = [own / like for like in alike(wanted, _names(own))][:most]
    return found


def alike(name: str, names: list[str]) -> list[str]:
    """Names that a slip of the fingers makes `name` of; the ending has to agree."""
    ending = os.path.splitext(name)[1]
    same = [other for other in names if os.path.splitext(other)[1] == ending]
    close = difflib.get_close_matches(name, same, 3, ALIKE)
    return close or [other for other in same if other.lower() == name.lower()]


def program_like(command: str, path: str) -> str | None:
    """A program of the search path with a name much like `command`."""
    if os.sep in command:
        return None
    folders = [Path(folder) for folder in path.split(os.pathsep) if folder]
    names = {name for folder in folders for name in _names(folder)}
    close = difflib.get_close_matches(command, names, 1, ALIKE_PROGRAM)
    return close[0] if close else None


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [e.name for _, e in zip(range(ENTRIES), entries, strict=False)]
    except OSError:
        return []


def _walk(folder: Path) -> Iterator[Path]:
    """What lies below `folder`, then below the folders above it; nearest first."""
    deadline = time.monotonic() + SECONDS
    left = ENTRIES
    seen: set[Path] = set()
    home = Path.home()
    starts = [(folder, DEEP)]
    for parent in folder.parents[:ABOVE]:
        if parent in (home.parent, Path("/"), Path("/tmp")):
            break
        starts.append((parent, DEEP - 1))
    for start, deep in starts:
        level = [start]
        for _ in range(deep):
            below: list[Path] = []
            for place in level:
                if place in seen:
                    continue
                seen.add(place)
                try:
                    with os.scandir(place) as entries:
                        for entry in entries:
                            left -= 1
                            if left < 0 or time.monotonic() > deadline:
                                return
                            yield Path(entry.path)
                            if _worth(entry):
                                below.append(Path(entry.path))
                except OSError:
                    continue
            level = below


def _worth(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in SKIP:
        return False
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
