"""
The hands, on the supervisor's side: what a command does until it has an outcome.

A command is a small state machine. The supervisor gives it events, ticks and the
child's end; it answers through `Access`. It never blocks.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trainwatch.probes import events as ev
from trainwatch.runner.flights import Flights
from trainwatch.runner.receiver import Receiver
from trainwatch.runner.state import Process, RunState

if TYPE_CHECKING:
    from trainwatch.runner.keyboard import Keyboard


class Access(Protocol):
    """What a command may use of the supervisor."""

    folder: Path
    terminal: int
    receiver: Receiver
    flights: Flights
    keyboard: Keyboard

    @property
    def child(self) -> int: ...

    @property
    def state(self) -> RunState: ...

    def emit(self, body: ev.Body) -> None: ...


class Command:
    """
    One command under way.

    Args:
        access: the supervisor.
        id: unique in the run.
        client: who asked and still listens; None once it hung up.
    """

    name = ""

    def __init__(self, access: Access, id: str, client: socket.socket | None) -> None:  # noqa: A002
        self.access = access
        self.id = id
        self.client = client
        self.outcome: str | None = None

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        raise NotImplementedError

    def event(self, event: ev.Event) -> None:
        """An event of a training process."""

    def tick(self, mono: float) -> None:
        """Ten times a second."""

    def child_ended(self, code: int | None) -> None:
        """The child's end; `code` is negative for a signal, None if unknown."""
        self.finish("failed", "the run ended first")

    def progress(self, detail: str) -> None:
        self.access.emit(ev.CommandProgressed(self.id, detail))
        self._answer(None, detail)

    def finish(self, outcome: str, detail: str, path: str = "") -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome
        self.access.emit(ev.CommandFinished(self.id, self.name, outcome, detail, path))
        self._answer(outcome, detail, path)

    def _answer(self, outcome: str | None, detail: str, path: str = "") -> None:
        if self.client is not None and not answer(self.client, outcome, detail, path):
            self.client = None


def answer(
    client: socket.socket, outcome: str | None, detail: str, path: str = ""
) -> bool:
    """Send one answer line; False when the client is gone."""
    import json

    line = json.dumps({"outcome": outcome, "detail": detail, "path": path})
    try:
        client.send(line.encode() + b"\n")
    except OSError:
        return False
    return True


def training_ranks(access: Access) -> list[Process]:
    """The processes that are training now and can be asked."""
    return [
        process
        for process in access.state.ranks
        if process.left is None
        and process.training is not None
        and process.training.ended is None
        and access.receiver.by_pid(process.pid) is not None
    ]


def send_signal(pid: int, number: int) -> bool:
    """Send a signal; False when the process is gone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def interrupt(access: Access) -> bool:
    """What ctrl+c does in a terminal: SIGINT to its foreground processes."""
    try:
        group = os.tcgetpgrp(access.terminal)
    except OSError:
        group = access.child
    try:
        os.killpg(group or access.child, signal.SIGINT)
    except (ProcessLookupError, PermissionError):
        return send_signal(access.child, signal.SIGINT)
    return True
