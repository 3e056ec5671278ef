"""A real terminal for the real app: pexpect drives it, pyte draws it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pexpect
import pyte

DEADLINE_S = 60.0


class Screen:
    """`trainwatch WORDS` in a terminal of the given size."""

    def __init__(
        self, *words: str, cwd: Path, rows: int = 40, columns: int = 120
    ) -> None:
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)  # They win over the terminal's own size.
        self.columns = columns
        self.written = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "trainwatch", *words],
            cwd=str(cwd),
            env=environment,
            dimensions=(rows, columns),
            timeout=DEADLINE_S,
        )

    def text(self) -> str:
        """What the terminal shows now."""
        self._pump(0.05)
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        self.process.send(keys)

    def wait_for(self, *texts: str, within: float = DEADLINE_S) -> str:
        """The screen once it shows all of `texts`."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            if not self.process.isalive():
                break
        raise AssertionError(f"{texts} not shown:\n{self.text()}")

    def wait_end(self, within: float = DEADLINE_S) -> int:
        """The exit code, once the app has ended."""
        deadline = time.monotonic() + within
        while self.process.isalive():
            assert time.monotonic() < deadline, self.text()
            self._pump(0.1)
        self.process.close()
        assert self.process.exitstatus is not None
        return int(self.process.exitstatus)

    def _pump(self, seconds: float) -> None:
        try:
            data = self.process.read_nonblocking(1 << 16, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.written += data
        self._stream.feed(data)
