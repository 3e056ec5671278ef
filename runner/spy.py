"""
py-spy, where it is installed and the system lets it: the stacks of a process that was
not asked, because it did not say that it handles the signal.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import IO

PROGRAM = "py-spy"
NOT_ALLOWED = ("permission", "not permitted", "root", "ptrace", "sudo")
MOST = 1 << 22
"""Bytes of a dump."""


class Spy:
    """One dump of one process, made in the background."""

    def __init__(self, pid: int) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._refused = ""
        self._file: IO[bytes] | None = None
        program = shutil.which(PROGRAM)
        if program is None:
            self._refused = f"{PROGRAM} is not installed"
            return
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, read after its end
        try:
            self._process = subprocess.Popen(
                [program, "dump", "--full-filenames", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=self._file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1"},
            )
        except OSError as error:
            self._refused = f"{PROGRAM}: {error.strerror}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def text(self) -> tuple[str, str]:
        """The dump, or why there is none. Ends it where it still runs."""
        process, file = self._process, self._file
        if process is None or file is None:
            return "", self._refused
        late = process.poll() is None
        if late:
            process.kill()
        code = process.wait()
        with file:
            file.seek(0)
            said = file.read(MOST).decode("utf-8", "replace")
        if late:
            return "", f"{PROGRAM} did not answer"
        if code == 0:
            return said, ""
        last = (said.strip().splitlines() or ["?"])[-1].strip()[:200]
        if any(word in said.lower() for word in NOT_ALLOWED):
            return "", f"{PROGRAM} is not allowed to look: {last}"
        return "", f"{PROGRAM}: {last}"
