"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCK_S = 2.0
"""How long one waits for another who changes the same file."""


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """
    Replace `path` by `data`; a reader sees the old file or the new one.

    Raises:
        OSError: no space, no permission. The old file is untouched then.
    """
    descriptor, name = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, document: Any) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # A file name that is no UTF-8 holds halves of characters.
        data = json.dumps(document, indent=1).encode()
    write_atomically(path, data + b"\n")


def read_json(path: Path) -> Any:
    """
    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON.
    """
    return json.loads(path.read_bytes())


def complain(text: str) -> None:
    """A line into our own log; a disk that is full does not take even that."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """
    Alone with what `path` guards, for the length of a `with`.

    Where the file system knows no locks, or the other does not finish, one goes on
    all the same: with `write_atomically` the file stays whole.

    Raises:
        OSError: `path` cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + LOCK_S
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break  # A file system without locks.
        yield
    finally:
        os.close(descriptor)
