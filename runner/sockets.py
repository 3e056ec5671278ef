"""Unix sockets of a run, whatever the length of its path."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

PREFIX = "tw-"
LONGEST = 100
"""Bytes. The kernel's limit is 108 on Linux and 104 on macOS."""


def listen(folder: Path, name: str) -> socket.socket:
    """
    A listening stream socket at `folder/name`, mode 0600.

    Where that path is too long for the kernel, the socket lies in a private
    folder in the temp folder and `folder/name` is a link to it.

    Raises:
        OSError: it cannot be bound.
    """
    path = folder / name
    if len(os.fsencode(path)) > LONGEST:
        short = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_short_temp()))
        path.symlink_to(short / name)
        path = short / name
    return listen_at(path)


def listen_at(path: Path) -> socket.socket:
    """
    A listening stream socket at `path`, mode 0600; what lies there is removed.

    Raises:
        OSError: it cannot be bound.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        os.chmod(path, 0o600)
        listener.listen(64)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def address(folder: Path, name: str) -> str:
    """The path to connect to."""
    path = folder / name
    return os.readlink(path) if path.is_symlink() else os.fspath(path)


def held(folder: Path, name: str) -> bool:
    """Whether a process holds the listening socket, however busy it is."""
    return answers(address(folder, name))


def answers(path: str) -> bool:
    """The same of the socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            connection.connect(path)
        except BlockingIOError:
            return True  # Its queue is full.
        except OSError:
            return False
    return True


def remove(folder: Path, name: str) -> None:
    """
    Take the socket and what `listen` made for it away, and nothing else: a link
    that came from somewhere may lead anywhere.
    """
    path = folder / name
    if path.is_symlink():
        short = Path(os.readlink(path))
        if short.parent.name.startswith(PREFIX) and short.is_socket():
            short.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                short.parent.rmdir()
    path.unlink(missing_ok=True)


def _short_temp() -> str:
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if folder and len(folder) < LONGEST - 30 and os.access(folder, os.W_OK):
            return folder
    return "/tmp"
