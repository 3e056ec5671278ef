"""
Stacks of an adopted process: py-spy reads its memory, and pauses nothing.

No probe is in it that could write them, and no signal is sent to it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from trainwatch.runner import orphans
from trainwatch.runner.commands import Command, send_signal

LONGEST_S = 20.0


def find() -> str | None:
    """py-spy on the path, or beside our own Python."""
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    return shutil.which("py-spy") or shutil.which(beside)


class OutsideStack(Command):
    """The stacks of every Python at and below the process, one after the other."""

    name = "stack"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        self._until = mono + LONGEST_S
        self._spy: subprocess.Popen[bytes] | None = None
        self._good = 0
        self._left = pythons(self.access.child)
        self._program = find()
        if self._program is None:
            self.finish("refused", "py-spy is not installed, and no probe is in it")
            return
        folder = self.access.folder / "stacks"
        folder.mkdir(exist_ok=True, mode=0o700)
        self._path = folder / f"{time.strftime('%H%M%S')}-{self.id}.txt"
        self._next()

    def tick(self, mono: float) -> None:
        if self._spy is not None:
            code = orphans.exit_of(self._spy.pid)
            if code is None and mono < self._until:
                return
            if code is None:
                send_signal(self._spy.pid, signal.SIGKILL)
            self._spy.returncode = code or 0
            self._good += code == 0
        self._next()

    def finish(self, outcome: str, detail: str, path: str = "") -> None:
        self._left = []
        super().finish(outcome, detail, path)

    def _next(self) -> None:
        """Ask for the stacks of the next process, or tell what came."""
        if self._left and self._program is not None:
            pid = self._left.pop(0)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            out = os.open(self._path, flags, 0o600)
            try:
                os.write(out, f"=== process {pid}\n".encode())
                self._spy = subprocess.Popen(
                    [self._program, "dump", "--nonblocking", "--pid", str(pid)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
            finally:
                os.close(out)
            return
        if self._good:
            many = "process" if self._good == 1 else "processes"
            detail = f"stacks of {self._good} {many}, by py-spy"
            self.finish("done", detail, str(self._path))
        else:
            self.finish("failed", f"py-spy: {_last_line(self._path)}")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line.strip()), "no answer")[:300]


def pythons(pid: int) -> list[int]:
    """The process `pid`, and every Python below it."""
    try:
        root = psutil.Process(pid)
        below = root.children(recursive=True)
    except psutil.Error:
        return []
    found = [pid]
    for process in below:
        try:
            if "python" in process.name().lower():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
