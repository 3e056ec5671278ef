"""
What the system tells of a process that was started without us.

It is only looked at: no signal is sent to it, and nothing is changed in it.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.redact import redact_argv

MISSING = (
    "its output from before and from now on: the log it writes to has that",
    "phases, steps, metrics and the parts of its memory: no probe is in it",
    "abort, snapshot and the keyboard: nothing is sent to it",
    "its exit code: only its parent is told",
)


@dataclass(frozen=True)
class Member:
    """A process of the tree."""

    pid: int
    command: str
    cpu_s: float | None
    rss: int | None
    threads: int | None
    status: str


@dataclass(frozen=True)
class Outside:
    """One look. What the system does not let us see is None or empty."""

    pid: int
    argv: tuple[str, ...]
    cwd: str
    user: str
    started: float
    members: tuple[Member, ...]
    """The process itself first, then all below it."""
    files: tuple[tuple[str, int], ...]
    """Files that it has open for writing -> their sizes."""
    denied: tuple[str, ...]
    """What may not be seen by this user."""


def look(pid: int) -> Outside:
    """
    Raises:
        RefusedError: there is no such process, or it has ended.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise RefusedError(f"process {pid} has ended")
        started = process.create_time()
        user = process.username()
    except psutil.NoSuchProcess:
        raise RefusedError(f"there is no process {pid}") from None
    except (psutil.Error, OverflowError, ValueError) as error:
        raise RefusedError(f"process {pid} cannot be looked at: {error}") from None
    denied = []
    argv: list[str] = []
    cwd = ""
    files: list[tuple[str, int]] = []
    below: list[psutil.Process] = []
    try:
        argv = process.cmdline()
    except psutil.Error:
        denied.append("its command line")
    try:
        cwd = process.cwd()
    except (psutil.Error, OSError):
        denied.append("its folder")
    try:
        files = _written(process)
    except (psutil.Error, OSError):
        denied.append("its files")
    try:
        below = process.children(recursive=True)
    except psutil.Error:
        denied.append("its children")
    return Outside(
        pid,
        tuple(redact_argv(argv or [_name(process)])),
        cwd,
        user,
        started,
        tuple(_member(each) for each in (process, *below)),
        tuple(files),
        tuple(denied),
    )


def _written(process: psutil.Process) -> list[tuple[str, int]]:
    """Open files that grow or may; on macOS one cannot see which are written."""
    found = {}
    for file in process.open_files():
        if getattr(file, "mode", "a")[:1] in ("w", "a"):
            try:
                found[file.path] = os.stat(file.path).st_size
            except OSError:
                continue  # Deleted while it is open.
    return sorted(found.items(), key=lambda item: -item[1])


def _member(process: psutil.Process) -> Member:
    cpu_s: float | None = None
    rss = threads = None
    status = command = "?"
    try:
        command = shlex.join(redact_argv(process.cmdline())) or process.name()
        status = process.status()
        times = process.cpu_times()
        cpu_s = times.user + times.system
        rss = process.memory_info().rss
        threads = process.num_threads()
    except psutil.Error:
        pass  # What is known so far is told.
    return Member(process.pid, command, cpu_s, rss, threads, status)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "?"


def folder_of(outside: Outside) -> str:
    """Where it works, else the root: a folder that is there."""
    return outside.cwd if Path(outside.cwd).is_dir() and outside.cwd else "/"
