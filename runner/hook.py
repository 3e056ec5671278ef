"""
The user's own command that is told of a notice: `--notify CMD`.

It gets one JSON document on its stdin. Nothing waits for it, and it is ended when
it takes too long. The command may hold a secret (the address of a chat), so it is in
the environment of our processes and on no disk.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from typing import Any

from trainwatch.runner import orphans
from trainwatch.runner.commands import send_signal
from trainwatch.runner.launch import NOTIFY
from trainwatch.runner.state import Notice

LONGEST_S = 60.0
AT_ONCE = 4


class Hook:
    """
    Args:
        cwd: where the command runs.
        command: a line for the shell; by default what `NOTIFY` holds. Empty tells
            nobody.
    """

    def __init__(self, cwd: str, command: str | None = None) -> None:
        self.command = os.environ.get(NOTIFY, "") if command is None else command
        self.cwd = cwd
        self._waiting: list[tuple[Notice, Any]] = []
        self._running: dict[int, tuple[Notice, float, subprocess.Popen[bytes]]] = {}

    def tell(self, notice: Notice, document: Any) -> None:
        """Start the command with `document`, as soon as there is room for another."""
        if self.command:
            self._waiting.append((notice, document))

    def tick(self, mono: float) -> list[Notice]:
        """Start and end what is due; those that failed, with what went wrong."""
        failed = []
        for pid, (notice, began, process) in list(self._running.items()):
            code = orphans.exit_of(pid)
            if code is None and mono - began <= LONGEST_S:
                continue
            error = f"ended with exit code {code}" if code else ""
            if code is None:
                _end(pid)
                error = f"took longer than {LONGEST_S:.0f} s and was ended"
            process.returncode = code or 0
            del self._running[pid]
            if error:
                failed.append(replace(notice, error=error))
        while self._waiting and len(self._running) < AT_ONCE:
            notice, document = self._waiting.pop(0)
            try:
                process = self._start(document)
            except (OSError, ValueError) as error:
                failed.append(replace(notice, error=str(error)))
                continue
            self._running[process.pid] = notice, mono, process
        return failed

    def finish(self) -> list[Notice]:
        """After the run's end: start what waits, and see how all of it ends."""
        failed = self.tick(time.monotonic())
        while self._running or self._waiting:
            time.sleep(0.05)
            failed += self.tick(time.monotonic())
        return failed

    def _start(self, document: Any) -> subprocess.Popen[bytes]:
        data = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        environment = {k: v for k, v in os.environ.items() if k != NOTIFY}
        read, write = os.pipe()
        try:
            # All of it fits into the pipe, so nothing waits for the command.
            os.set_blocking(write, False)
            if os.write(write, data) < len(data):
                raise OSError("the document is longer than a pipe holds")
            return subprocess.Popen(
                ["/bin/sh", "-c", self.command],
                stdin=read,
                stdout=subprocess.DEVNULL,
                cwd=self.cwd if os.path.isdir(self.cwd) else None,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(write)
            os.close(read)


def _end(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        send_signal(pid, signal.SIGKILL)
