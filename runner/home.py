"""Where runs are kept, and which run a person means."""

from __future__ import annotations

import os
import time
from pathlib import Path

from trainwatch.runner import manifest
from trainwatch.runner.errors import RunNotFoundError

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
"""In the order in which names sort, so that later runs of a second come later."""


def home() -> Path:
    """`$TRAINWATCH_HOME`, else the platform's folder for user state."""
    chosen = os.environ.get("TRAINWATCH_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("trainwatch")


def runs_folder() -> Path:
    return home() / "runs"


def new_run_folder() -> Path:
    """
    A new, empty run directory (mode 0700) with its sub-folders.

    Raises:
        OSError: it cannot be created.
    """
    runs = runs_folder()
    # Not by `parents`: that would let everybody read, and write as the umask says.
    home().parent.mkdir(parents=True, exist_ok=True)
    home().mkdir(exist_ok=True, mode=0o700)
    runs.mkdir(exist_ok=True, mode=0o700)
    while True:
        folder = runs / run_id(time.time())
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        (folder / "flight").mkdir(mode=0o700)
        return folder


def run_id(now: float) -> str:
    """The local time, and the fraction of its second in three letters."""
    base = len(_LETTERS)
    part = int(now % 1 * base**3)
    tail = "".join(_LETTERS[part // base**place % base] for place in (2, 1, 0))
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{tail}"


def run_folders() -> list[Path]:
    """
    All run directories, newest first. One without a manifest is being made; a link
    is none of ours: what it leads to is neither written nor removed.
    """
    try:
        found = [
            entry
            for entry in runs_folder().iterdir()
            if not entry.is_symlink() and (entry / manifest.FILE).is_file()
        ]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda folder: folder.name, reverse=True)


def find_run(spec: str = "last") -> Path:
    """
    The run directory for an id, a unique prefix of one, a name, or "last".

    A name that several runs carry means the newest of them.

    Raises:
        RunNotFoundError: none, or several prefixes, match.
    """
    folders = run_folders()
    if not folders:
        raise RunNotFoundError(
            "there are no runs yet: start one with `trainwatch run -- CMD`"
        )
    if spec == "last":
        return folders[0]
    exact = [folder for folder in folders if folder.name == spec]
    if exact:
        return exact[0]
    named = [folder for folder in folders if manifest.name_of(folder) == spec]
    if named:
        return named[0]
    prefixed = [folder for folder in folders if folder.name.startswith(spec)]
    if len(prefixed) == 1:
        return prefixed[0]
    if prefixed:
        some = ", ".join(folder.name for folder in prefixed[:4])
        raise RunNotFoundError(f"{spec!r} means more than one run: {some}")
    raise RunNotFoundError(
        f"no run is called {spec!r}: `trainwatch runs` lists {len(folders)}"
    )
