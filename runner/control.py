"""
Asking a run's supervisor for something, over `control.sock`.

One JSON line asks: `{"command": …}`. JSON lines answer: any number with
`"outcome": null` while it is under way, then one with the outcome. Whoever asks
may hang up; the command goes on and its end is an event in the log.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainwatch.runner import sockets, truth
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.launch import CONTROL_SOCKET
from trainwatch.runner.outcome import Outcome

COMMANDS = (
    "abort",
    "snapshot",
    "stack",
    "keyboard",
    "keys",
    "type",
    "interrupt",
    "resize",
    "echo",
    "rename",
    "ping",
)


def ask(
    folder: Path, command: str, *, wait_s: float | None = None, **arguments: Any
) -> Outcome:
    """
    Ask and wait for the outcome.

    Args:
        folder: the run directory.
        command: one of COMMANDS.
        wait_s: seconds to wait; None waits until it is known.

    Raises:
        RefusedError: the run is over, or nobody answers.
    """
    answers = list(progress(folder, command, wait_s=wait_s, **arguments))
    return answers[-1]


def progress(
    folder: Path, command: str, *, wait_s: float | None = None, **arguments: Any
) -> Iterator[Outcome]:
    """
    The same, each answer as it comes; the last one has an outcome other than "".

    Raises:
        RefusedError: the run is over, or nobody answers.
    """
    connection = connect(folder)
    deadline = None if wait_s is None else time.monotonic() + wait_s
    with connection:
        line = json.dumps({"command": command, **arguments}).encode() + b"\n"
        connection.sendall(line)
        buffer = b""
        under_way = ""
        while True:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    told = f": {under_way}" if under_way else ""
                    yield Outcome(
                        False, "unknown", f"not over after {wait_s:g} s{told}"
                    )
                    return
                connection.settimeout(left)
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                yield Outcome(False, "unknown", "the supervisor hung up")
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for answer in lines:
                outcome = _outcome(json.loads(answer))
                yield outcome
                under_way = outcome.detail
                if outcome.outcome:
                    return


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    outcome = answer.get("outcome") or ""
    return Outcome(
        ok=outcome == "done",
        outcome=outcome,
        detail=str(answer.get("detail", "")),
        path=str(answer.get("path", "")),
    )


def connect(folder: Path) -> socket.socket:
    """
    A connection to the run's supervisor.

    Raises:
        RefusedError: the run is over, or nobody answers.
    """
    facts = truth.correct(folder)
    if facts.over:
        raise RefusedError(f"run {facts.name} is over: {facts.status}")
    deadline = time.monotonic() + 5
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(sockets.address(folder, CONTROL_SOCKET))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"no supervisor answers for run {facts.name}: {error}"
                ) from None
            time.sleep(0.1)
