"""
The program's keyboard: what is typed to it, in order, and who may type.

Bytes go to the master side of the child's terminal, as from a keyboard: ctrl+c
interrupts, an echo appears in the output. What the terminal cannot take yet waits
here. One client at a time may hold the keyboard; it is free again as soon as that
client hangs up.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Mapping
from typing import Any

from trainwatch.runner import launch
from trainwatch.runner.commands import Command, answer
from trainwatch.runner.errors import RefusedError

MOST_WAITING = 1 << 20
"""Bytes that may wait for a program which does not read."""


class Keyboard:
    """
    Args:
        terminal: the master side of the child's terminal, not blocking.
        selector: where it is registered while bytes wait, with this as data.
    """

    def __init__(self, terminal: int, selector: selectors.BaseSelector) -> None:
        self._terminal = terminal
        self._selector = selector
        self._waiting = bytearray()
        self._hold: Hold | None = None

    @property
    def holder(self) -> Hold | None:
        """Who holds the keyboard and still listens."""
        hold = self._hold
        if hold is None or hold.outcome is not None or hold.client is None:
            return None
        return hold

    def take(self, hold: Hold) -> None:
        """
        Give the keyboard to `hold`.

        Raises:
            RefusedError: somebody else holds it, or there is none.
        """
        self._check(hold.client)
        self._hold = hold

    def type(self, client: socket.socket, message: Mapping[str, Any]) -> str:
        """
        A `text` of its own, from whoever asks.

        Raises:
            RefusedError: somebody else holds the keyboard, or there is none.
        """
        self._check(client)
        data = str(message["text"]).encode()
        self._put(data)
        return f"typed {len(data)} bytes"

    def keys(self, client: socket.socket, message: Mapping[str, Any]) -> None:
        """The next bytes of the holder, as Latin-1 `data`; not answered."""
        holder = self.holder
        if holder is None or holder.client is not client:
            answer(client, "refused", "the keyboard is not yours")
            return
        try:
            self._put(str(message["data"]).encode("latin-1"))
        except (OSError, ValueError, KeyError) as error:
            answer(client, "failed", str(error))

    def resize(self, message: Mapping[str, Any]) -> str:
        """
        Raises:
            ValueError: not a terminal's size.
        """
        rows, columns = int(message["rows"]), int(message["columns"])
        if not (0 < rows < 1000 and 0 < columns < 1000):
            raise ValueError("not a terminal's size")
        launch.set_size(self._terminal, (rows, columns))
        return f"{columns}x{rows}"

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        columns, rows = os.get_terminal_size(self._terminal)
        return rows, columns

    def ready(self) -> None:
        """The terminal can take bytes again."""
        self._write()
        if not self._waiting:
            self._selector.unregister(self._terminal)

    def _check(self, client: socket.socket | None) -> None:
        if not os.isatty(self._terminal):
            raise RefusedError("the program has no terminal")
        holder = self.holder
        if holder is not None and holder.client is not client:
            raise RefusedError(f"the keyboard is with {holder.who}")

    def _put(self, data: bytes) -> None:
        if len(self._waiting) + len(data) > MOST_WAITING:
            raise ValueError("the program does not read what is typed")
        was_waiting = bool(self._waiting)
        self._waiting += data
        if not was_waiting:
            self._write()
            if self._waiting:
                self._selector.register(self._terminal, selectors.EVENT_WRITE, self)

    def _write(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._terminal, self._waiting[:1024])
                del self._waiting[:written]
        except BlockingIOError:
            return
        except OSError:
            # Nobody has the other side of the terminal open any more.
            self._waiting.clear()


class Hold(Command):
    """The keyboard in the hands of one client, until it hangs up."""

    name = "keyboard"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        self.who = str(arguments.get("who") or "another terminal")[:80]
        self._size: tuple[int, int] | None = None
        try:
            self.access.keyboard.take(self)
        except RefusedError as error:
            self.finish("refused", str(error))
            return
        try:
            before = self.access.keyboard.size()
            self.access.keyboard.resize(arguments)
            self._size = before
        except (OSError, ValueError, KeyError, TypeError):
            # Without a size that can be used, the terminal keeps the one it has.
            self._size = None
        self.progress(f"with {self.who}")

    def tick(self, mono: float) -> None:
        if self.client is None:
            self.finish("done", "given back")

    def child_ended(self, code: int | None) -> None:
        self.finish("done", "the program has ended")

    def finish(self, outcome: str, detail: str, path: str = "") -> None:
        if self._size is not None:
            rows, columns = self._size
            self._size = None
            self.access.keyboard.resize({"rows": rows, "columns": columns})
        super().finish(outcome, detail, path)
