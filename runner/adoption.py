"""
A run of a process that was started without us: watched from outside until it ends.

The same supervisor and keeper as for any run, with an empty pipe in the place of
the terminal. Nobody of them is its parent, so its exit code stays unknown.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.runner import launch, manifest, sockets, truth
from trainwatch.runner.errors import LaunchError, RefusedError
from trainwatch.runner.files import write_atomically
from trainwatch.runner.home import new_run_folder, run_folders
from trainwatch.runner.keeper import RESERVE, RESERVE_BYTES
from trainwatch.runner.naming import checked, tidy
from trainwatch.runner.outside import Outside, folder_of

HARMLESS = ("stack", "rename", "ping")
"""Commands that send nothing to the process."""


def refusal(command: str) -> str:
    """Why an adopted process is not asked for this; empty where it may be."""
    if command in HARMLESS:
        return ""
    return "this process was adopted: it is only looked at, nothing is sent to it"


def adopt(outside: Outside, name: str | None = None, notify: str = "") -> Path:
    """
    Begin to watch a process; returns its run directory.

    Raises:
        RefusedError: a living run watches it already.
        LaunchError: the run cannot be kept.
        UsageError: `name` cannot be one.
    """
    name = checked(name) if name else tidy(launch.default_name(outside.argv))
    for folder in run_folders():
        known = _living(folder)
        if known is not None and outside.pid == known.child:
            raise RefusedError(f"run {known.name} watches it already ({folder.name})")
    try:
        folder = new_run_folder()
    except OSError as error:
        raise LaunchError(f"the run cannot be kept: {error}") from None
    try:
        facts = manifest.Manifest(
            id=folder.name,
            name=name,
            argv=list(outside.argv),
            cwd=folder_of(outside),
            started=outside.started,
            probes=False,
            terminal=False,
            adopted=True,
            python=".".join(str(part) for part in sys.version_info[:3]),
            host={"node": os.uname().nodename, "system": os.uname().sysname},
            child=outside.pid,
            child_started=outside.started,
        )
        manifest.write(folder, facts)
        write_atomically(folder / RESERVE, b"\0" * RESERVE_BYTES)
        _watch(folder, outside.pid, notify)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LaunchError(f"the run cannot be kept: {error}") from None
    return folder


def _living(folder: Path) -> manifest.Manifest | None:
    try:
        facts = truth.correct(folder)
    except RefusedError:
        return None
    return None if facts.over else facts


def _watch(folder: Path, pid: int, notify: str) -> None:
    """Start the keeper and the supervisor; both outlive us."""
    listeners = (
        sockets.listen(folder, launch.EVENTS_SOCKET),
        sockets.listen(folder, launch.CONTROL_SOCKET),
    )
    output, nobody = os.pipe()
    os.close(nobody)
    ours, theirs = socket.socketpair()
    held = (output, listeners[0].fileno(), listeners[1].fileno())
    environment = {**os.environ, launch.NOTIFY: notify} if notify else None
    try:
        with open(folder / "supervisor.log", "ab") as errors:
            keeper = _start(
                "keeper",
                folder,
                (*held, theirs.fileno()),
                (str(pid),),
                errors,
                environment,
            )
            words = (str(keeper), str(pid), "")
            _start(
                "supervisor", folder, (*held, ours.fileno()), words, errors, environment
            )
    finally:
        for end in (*listeners, ours, theirs):
            end.close()
        os.close(output)


def _start(
    module: str,
    folder: Path,
    fds: tuple[int, ...],
    words: tuple[str, ...],
    errors: Any,
    environment: Mapping[str, str] | None,
) -> int:
    process = subprocess.Popen(
        [
            *launch.process_words(f"trainwatch.runner.{module}"),
            os.fspath(folder),
            ",".join(str(descriptor) for descriptor in fds),
            *words,
        ],
        pass_fds=fds,
        start_new_session=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
    )
    process.returncode = 0  # It outlives us; nobody here waits for it.
    return process.pid
