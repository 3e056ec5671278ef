"""The event socket: one connection per process, lines in, requests out."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.state import RunState

READ_BYTES = 1 << 18


@dataclass
class Connection:
    """One process on the event socket."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    pid: int | None = None
    """Known once it has joined."""
    rank: int | None = None
    heard: int = 0
    """The number of its last event."""
    said_goodbye: bool = False
    skipping: bool = False


@dataclass
class Refused:
    """Lines that were not taken, in all."""

    malformed: int = 0
    oversized: int = 0
    foreign: int = 0
    last: str = ""

    def body(self) -> ev.LinesRefused:
        return ev.LinesRefused(**vars(self))


class Receiver:
    """
    Args:
        listener: the listening event socket.
        selector: where the listener and every connection are registered, with
            this receiver as data.
    """

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector
    ) -> None:
        self.listener = listener
        self.refused = Refused()
        self.connections: dict[int, Connection] = {}
        self._selector = selector
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self)

    def listen(self, listener: socket.socket) -> None:
        """Listen at another socket instead; the connections stay."""
        self._selector.unregister(self.listener)
        self.listener.close()
        self.listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self)

    def ready(self, file: object) -> tuple[list[ev.Event], Connection | None]:
        """
        The events that a readable socket holds, and the connection when it closed.
        """
        if file is self.listener:
            self._accept()
            return [], None
        assert isinstance(file, socket.socket)
        connection = self.connections[file.fileno()]
        try:
            data = file.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return [], None
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
            return [], connection
        connection.buffer += data
        return self._take(connection), None

    def by_pid(self, pid: int) -> Connection | None:
        """The newest connection of a process."""
        found = [c for c in self.connections.values() if c.pid == pid]
        return found[-1] if found else None

    def heard(self, pid: int, state: RunState) -> int:
        """The number of the last event of `pid`, as far as this supervisor, or an
        earlier one by what it wrote down, received it."""
        found = self.by_pid(pid)
        return max(found.heard if found else 0, state.heard.get(pid, 0))

    def request(self, connection: Connection, message: Mapping[str, Any]) -> bool:
        """Send a request down; False when the process does not take it."""
        line = json.dumps(dict(message)).encode() + b"\n"
        try:
            return connection.socket.send(line) == len(line)
        except OSError:
            return False

    def drop(self, connection: Connection) -> None:
        self.connections.pop(connection.socket.fileno(), None)
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def close(self) -> None:
        for connection in list(self.connections.values()):
            self.drop(connection)
        self._selector.unregister(self.listener)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            accepted.setblocking(False)
            self.connections[accepted.fileno()] = Connection(accepted)
            self._selector.register(accepted, selectors.EVENT_READ, self)

    def _take(self, connection: Connection) -> list[ev.Event]:
        *lines, rest = bytes(connection.buffer).split(b"\n")
        if len(rest) > ev.MAX_LINE_BYTES:
            self.refused.oversized += 1
            connection.skipping = True
            rest = b""
        connection.buffer = bytearray(rest)
        if connection.skipping and lines:
            # The end of a line whose beginning was thrown away.
            connection.skipping = False
            lines = lines[1:]
        events = []
        for line in lines:
            event = self._decode(connection, line) if line else None
            if event is not None:
                events.append(event)
        return events

    def _decode(self, connection: Connection, line: bytes) -> ev.Event | None:
        try:
            event = ev.decode(line)
        except ev.MalformedEvent as error:
            self.refused.malformed += 1
            self.refused.last = str(error)[:200]
            return None
        if event.body is not None and event.type not in ev.PROBE_TYPES:
            self.refused.foreign += 1
            self.refused.last = f"{event.type} from process {event.pid}"
            return None
        if isinstance(event.body, ev.ProcessJoined):
            connection.pid = event.pid
        connection.rank = event.rank
        connection.heard = max(connection.heard, event.seq)
        connection.said_goodbye |= isinstance(event.body, ev.ProcessLeft)
        return event
