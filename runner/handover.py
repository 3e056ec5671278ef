"""
Handing this terminal to the program: its keyboard and its output, raw, both ways.

What is typed goes byte by byte to the program's terminal; what the program writes
is read from `console.log` and written here as it is, with its control sequences:
the one place where they reach the user's terminal. It happens on the alternate
screen, so that leaving shows again what stood here.
"""

from __future__ import annotations

import getpass
import json
import os
import select
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainwatch.runner import control, truth
from trainwatch.runner.console import Tail
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.keeper import CONSOLE
from trainwatch.runner.outcome import Outcome

LEAVE = b"\x1d"
LEAVE_KEY = "ctrl+]"
LOOK_S = 0.015
"""Pause between two looks at the output."""
ANSWER_S = 5.0
CHUNK = 1 << 16
BEHIND = 1 << 20
"""Bytes of output after which what is older is not shown any more."""

_ENTER = b"\x1b[?1049h\x1b[2J\x1b[H"
_BAR = "\x1b[7m {name} has the keyboard · {key} takes it back \x1b[0m\r\n"
_RESET = (
    b"\x1b[0m\x1b(B\x0f"  # colours, character set
    b"\x1b[r\x1b[?6l\x1b[?7h\x1b[4l"  # scrolling, origin, wrapping, inserting
    b"\x1b[?1l\x1b>\x1b[?2004l"  # cursor keys, keypad, bracketed paste
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l"  # mouse, focus
    b"\x1b[?25h"
)
_LEAVE = _RESET + b"\x1b[?1049l"


def hand_over(folder: Path, source: int = 0, target: int = 1) -> Outcome:
    """
    Give the terminal to the program until LEAVE is typed or the program ends.

    Blocks. The terminal's modes and its screen are as before afterwards.

    Args:
        folder: the run directory.
        source: descriptor of the terminal to read keys from.
        target: descriptor of the terminal to write to.
    """
    try:
        name = truth.correct(folder).name
        connection = _ask(folder, source, target)
    except RefusedError as error:
        return Outcome(False, "refused", str(error))
    except OSError as error:
        return Outcome(False, "failed", str(error))
    with connection, _raw(source, target):
        bar = _BAR.format(name=_printable(name), key=LEAVE_KEY)
        _write(target, _ENTER + bar.encode())
        offset = _replay(folder, target)
        try:
            return _pump(folder, connection, source, target, offset)
        except RefusedError as error:
            over = truth.correct(folder).over
            detail = "the program has ended" if over else str(error)
            return Outcome(over, "done" if over else "failed", detail)
        except OSError as error:
            return Outcome(False, "failed", str(error))


def _ask(folder: Path, source: int, target: int) -> socket.socket:
    """
    A connection that holds the program's keyboard.

    Raises:
        RefusedError: somebody else holds it, or nobody answers.
    """
    connection = control.connect(folder)
    try:
        connection.settimeout(ANSWER_S)
        rows, columns = _size(target)
        _send(
            connection,
            {"command": "keyboard", "who": _who(source), "rows": rows}
            | {"columns": columns},
        )
        line = b""
        while b"\n" not in line:
            data = connection.recv(4096)
            if not data:
                raise RefusedError("the supervisor hung up")
            line += data
        answer = json.loads(line.partition(b"\n")[0])
        if answer.get("outcome"):
            raise RefusedError(str(answer.get("detail", "")))
    except TimeoutError:
        connection.close()
        raise RefusedError(f"the supervisor is silent for {ANSWER_S:g} s") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _pump(
    folder: Path, connection: socket.socket, source: int, target: int, offset: int
) -> Outcome:
    """
    Raises:
        RefusedError: the run is over, or the keyboard cannot be had back.
    """
    size = _size(target)
    console = os.open(folder / CONSOLE, os.O_RDONLY)
    try:
        while True:
            ready, _, _ = select.select([source, connection.fileno()], [], [], LOOK_S)
            offset = _show(console, offset, target)
            if _size(target) != size:
                size = _size(target)
                resize = {"command": "resize", "rows": size[0], "columns": size[1]}
                _send(connection, resize)
            if source in ready:
                data = os.read(source, 4096)
                keys, left, _ = data.partition(LEAVE)
                if keys:
                    text = keys.decode("latin-1")
                    _send(connection, {"command": "keys", "data": text})
                if left or not data:
                    return Outcome(True, "done", "given back")
            if connection.fileno() in ready and not _hear(connection):
                connection.close()
                _show(console, offset, target)
                connection = _ask(folder, source, target)
    finally:
        os.close(console)
        connection.close()


def _show(console: int, offset: int, target: int) -> int:
    """Write what is new of the output; the offset after it."""
    end = os.fstat(console).st_size
    if end - offset > BEHIND:
        offset = end - CHUNK
    while offset < end:
        data = os.pread(console, CHUNK, offset)
        if not data:
            break
        _write(target, data)
        offset += len(data)
    return offset


def _hear(connection: socket.socket) -> bool:
    """Take what the supervisor says; False when it hung up."""
    try:
        return bool(connection.recv(CHUNK))
    except ConnectionError:
        return False


def _replay(folder: Path, target: int) -> int:
    """Show the end of the output without control sequences; where it ends."""
    tail = Tail(folder, from_end=CHUNK)
    deadline = time.monotonic() + 0.5
    try:
        while tail.read() and time.monotonic() < deadline:
            continue
        rows = _size(target)[0]
        growing = tail.growing()
        lines = [*list(tail.lines)[-max(1, rows - 3) :], growing]
        _write(target, "\n".join(lines).encode("utf-8", "replace"))
        return tail.offset
    finally:
        tail.close()


@contextmanager
def _raw(source: int, target: int) -> Iterator[None]:
    """
    Keys come byte by byte and unchanged. Output is still processed: the program's
    terminal leaves "\\n" alone, so this one has to make a new line of it.
    """
    before = termios.tcgetattr(source)
    modes = termios.tcgetattr(source)
    modes[0] &= ~(
        termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON
    )
    modes[1] |= termios.OPOST | termios.ONLCR
    modes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(source, termios.TCSADRAIN, modes)
    try:
        yield
    finally:
        _write(target, _LEAVE)
        # What was typed after LEAVE is for nobody.
        termios.tcsetattr(source, termios.TCSAFLUSH, before)


def _send(connection: socket.socket, message: dict[str, object]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _write(target: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:
            select.select([], [target], [], 1.0)


def _size(target: int) -> tuple[int, int]:
    """Rows and columns."""
    columns, rows = os.get_terminal_size(target)
    return rows, columns


def _who(source: int) -> str:
    """How the one who types is named to others."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user {os.getuid()}"
    return f"{user} on {os.ttyname(source)}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
