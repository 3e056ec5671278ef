"""
The runs that are kept: renaming them, and taking them off the disk.

Never one that lives, and never what a link leads to.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner import control, manifest, sockets, truth
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import run_folders, runs_folder
from trainwatch.runner.launch import CONTROL_SOCKET, EVENTS_SOCKET
from trainwatch.runner.log import EventLog
from trainwatch.runner.naming import checked

WAIT_S = 5.0


def rename(folder: Path, name: str) -> str:
    """
    Give the run in `folder` another name; returns it.

    Raises:
        UsageError: it cannot be a name.
        RefusedError: the run cannot be read or written.
    """
    name = checked(name)
    facts = truth.correct(folder)
    if not facts.over and truth.supervised(folder):
        outcome = control.ask(folder, "rename", wait_s=WAIT_S, name=name)
        if not outcome.ok:
            raise RefusedError(f"not renamed: {outcome.detail}")
        return name
    try:
        log = EventLog(folder)
        log.append([ev.of(ev.RunRenamed(name), time=time.time(), pid=os.getpid())])
        log.close()
        manifest.write(folder, replace(facts, name=name))
    except OSError as error:
        raise RefusedError(f"not renamed: {error}") from None
    return name


def weight(folder: Path) -> int:
    """Bytes that removing `folder` gives back; links count as themselves."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue  # It went meanwhile.
    return total


def snapshots(folder: Path) -> int:
    """How many of our snapshots would go with it."""
    try:
        return sum(entry.is_dir() for entry in os.scandir(folder / "snapshots"))
    except OSError:
        return 0


def check(folder: Path) -> None:
    """
    Raises:
        RefusedError: the run lives, or one cannot tell, or this is no run of ours.
    """
    if folder.is_symlink() or folder.parent != runs_folder():
        raise RefusedError(f"{folder} is not a run's own folder")
    facts = truth.correct(folder)
    if not facts.over:
        raise RefusedError(
            f"run {facts.name} is still going: end it first (trainwatch abort "
            f"{folder.name})"
        )


def remove(folder: Path) -> int:
    """
    Remove a run that is over; returns the bytes it held.

    Raises:
        RefusedError: it lives, or it cannot be removed.
    """
    check(folder)
    held = weight(folder)
    try:
        for name in (EVENTS_SOCKET, CONTROL_SOCKET):
            sockets.remove(folder, name)
        shutil.rmtree(folder)
    except OSError as error:
        raise RefusedError(f"{folder.name} is not removed: {error}") from None
    return held


def surplus(keep: int) -> list[Path]:
    """The runs that are over, but for the `keep` newest of them, oldest first."""
    over = []
    for folder in run_folders():
        try:
            check(folder)
        except RefusedError:
            continue
        over.append(folder)
    return over[keep:][::-1]
