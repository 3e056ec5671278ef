"""
This terminal's keyboard, for a program that has a terminal of its own.

Lines are passed on as they are typed, and ctrl+d as the end of input. Where the
program does not want its input to be seen (a password), it is not seen here.
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Callable
from pathlib import Path

from trainwatch.runner import control
from trainwatch.runner.errors import RefusedError

LONGEST = 4096
"""Bytes of a line in a terminal's line discipline."""
ANSWER_S = 5.0
END = b"\x04"
"""ctrl+d: a terminal takes it as the end of what was typed so far."""


class Keyboard:
    """
    Args:
        folder: the run directory.
        descriptor: the terminal to read, as a rule 0.
        complain: called with a line where something could not be passed on.
    """

    def __init__(
        self, folder: Path, descriptor: int, complain: Callable[[str], object]
    ) -> None:
        self.folder = folder
        self.descriptor = descriptor
        self.open = True
        self.typed = ""
        """The last line, where it could be seen."""
        self._complain = complain
        self._hidden: list[int | list[bytes | int]] | None = None

    def wait(self, seconds: float) -> None:
        """Wait for a line, at most so long, and pass it on."""
        if not self.open or not self._ours():
            time.sleep(seconds)
            return
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return
        try:
            data = os.read(self.descriptor, LONGEST)
        except OSError:
            self.open = False  # The terminal is gone.
            return
        self.typed = "" if self._hidden else data.decode("utf-8", "replace").strip("\n")
        if self._hidden:
            self.show()
            print()
        self._send(data if data.endswith(b"\n") else data + END)

    def hide_if_asked(self) -> None:
        """Type unseen where the program has switched its terminal's echo off."""
        if self._hidden is not None or not self._ours():
            return
        try:
            echo = control.ask(self.folder, "echo", wait_s=1)
        except (RefusedError, OSError):
            return
        if not echo.ok or echo.detail != "off":
            return
        modes = termios.tcgetattr(self.descriptor)
        self._hidden = [*modes]
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, modes)

    def show(self) -> None:
        """As it was before `hide_if_asked`."""
        if self._hidden is not None:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._hidden)
            self._hidden = None

    def _ours(self) -> bool:
        """Reading from the background would stop us."""
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:
            self.open = False
            return False

    def _send(self, data: bytes) -> None:
        try:
            text = data.decode("utf-8", "replace")
            outcome = control.ask(self.folder, "type", wait_s=ANSWER_S, text=text)
        except (RefusedError, OSError) as error:
            self._complain(f"not typed: {error}")
            return
        if not outcome.ok:
            self._complain(f"not typed: {outcome.detail}")


def is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
