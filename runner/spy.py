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

import psutil

from trainwatch.runner import orphans

PROGRAM = "py-spy"
NOT_ALLOWED = ("permission", "not permitted", "root", "ptrace", "sudo")
MOST = 1 << 22
"""Bytes of a dump."""


class Spy:
    """
    One dump of one process, made in the background.

    Args:
        pid: the process.
        pause: it stands still meanwhile, so that its frames fit together.
    """

    def __init__(self, pid: int, pause: bool = True) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._refused = ""
        self._file: IO[bytes] | None = None
        program = shutil.which(PROGRAM)
        if program is None:
            self._refused = f"{PROGRAM} is not installed"
            return
        words = [program, "dump", "--full-filenames", "--pid", str(pid)]
        if not pause:
            words.append("--nonblocking")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, read after its end
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self._file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1"},
            )
        except OSError as error:
            self._refused = f"{PROGRAM}: {error.strerror}"

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def running(self) -> bool:
        return self._process is not None and self._code() is None

    def _code(self) -> int | None:
        """How it ended; None while it runs. (Who reaps all children was first.)"""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.returncode = orphans.exit_of(self._process.pid)
        return self._process.returncode

    def text(self) -> tuple[str, str]:
        """The dump, or why there is none. Ends it where it still runs."""
        process, file = self._process, self._file
        if process is None or file is None:
            return "", self._refused
        code = self._code()
        late = code is None
        if late:
            process.kill()
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


def pythons(pid: int) -> list[int]:
    """The process `pid`, and every Python below it."""
    try:
        below = psutil.Process(pid).children(recursive=True)
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
