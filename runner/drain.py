"""
The child's output, read by the supervisor while there is no keeper.

Slower than the keeper, but the child does not wait on a print.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from trainwatch.runner.files import complain
from trainwatch.runner.keeper import CHUNK, CONSOLE


class Drain:
    """
    Args:
        terminal: the master side of the child's terminal.
        folder: the run directory.
    """

    def __init__(self, terminal: int, folder: Path) -> None:
        self.terminal = terminal
        self.folder = folder
        self._log: int | None = None
        self._complained = False

    def read(self, within_s: float) -> int:
        """
        Move what is there into `console.log`; after `within_s` seconds the rest is
        left for the next time. Returns the bytes that could not be kept.
        """
        os.set_blocking(self.terminal, False)
        lost = 0
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                data = os.read(self.terminal, CHUNK)
            except OSError:
                break  # Nothing is there, or nobody holds it any more.
            if not data:
                break
            log = self._open()
            with contextlib.suppress(OSError):
                while data and log is not None:
                    data = data[os.write(log, data) :]
            lost += len(data)
        return lost

    def _open(self) -> int | None:
        if self._log is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            try:
                self._log = os.open(self.folder / CONSOLE, flags, 0o600)
            except OSError as error:
                if not self._complained:
                    complain(f"{CONSOLE}: {error}")
                self._complained = True
        return self._log
