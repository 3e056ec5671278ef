"""The control socket: who asks for something, one JSON line at a time."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any

from trainwatch.runner.commands import answer

LONGEST = 1 << 16
"""Bytes of a request; whoever sends more is hung up on."""


class Clients:
    """
    Args:
        listener: the listening control socket.
        selector: where the listener and every client are registered, with this
            as data.
        asked: called with the client and what it asks, a mapping with a
            `command`.
        left: called with a client that hung up, before its socket is closed.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        asked: Callable[[socket.socket, Mapping[str, Any]], None],
        left: Callable[[socket.socket], None],
    ) -> None:
        self.listener = listener
        self._selector = selector
        self._asked = asked
        self._left = left
        self._buffers: dict[socket.socket, bytearray] = {}
        selector.register(listener, selectors.EVENT_READ, self)

    def listen(self, listener: socket.socket) -> None:
        """Listen at another socket instead; the clients stay."""
        self._selector.unregister(self.listener)
        self.listener.close()
        self.listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self)

    def ready(self, file: object) -> None:
        """The listener or a client is readable."""
        assert isinstance(file, socket.socket)
        if file is self.listener:
            self._accept()
            return
        buffer = self._buffers[file]
        try:
            data = file.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        buffer += data
        while b"\n" in buffer:
            line, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            self._take(file, line)
        if not data or len(buffer) > LONGEST:
            self._hang_up(file)

    def _accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        client.setblocking(False)
        self._buffers[client] = bytearray()
        self._selector.register(client, selectors.EVENT_READ, self)

    def _take(self, client: socket.socket, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and isinstance(message.get("command"), str):
            self._asked(client, message)
        else:
            answer(client, "refused", "not a command")

    def _hang_up(self, client: socket.socket) -> None:
        self._left(client)
        del self._buffers[client]
        self._selector.unregister(client)
        client.close()
