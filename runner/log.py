"""The writing side of `events.jsonl`: append, fold, and keep the fold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner import memo
from trainwatch.runner.fold import fold
from trainwatch.runner.follow import FILE, Follower
from trainwatch.runner.state import RunState

MEMO_S = 30.0
WAITING_LINES = 20_000
"""Lines kept in memory while the disk takes none; older ones are then dropped."""


class EventLog:
    """
    One writer per run. Opening it continues an existing log: a torn last line
    is closed, the state is what the log says.

    Raises:
        OSError: the log cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / FILE
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        size = os.fstat(self._file).st_size
        self._torn = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"
        self.state, offset = memo.load(folder)
        if offset > size:
            self.state, offset = RunState(), 0
        follower = Follower(folder, offset)
        while batch := follower.read():
            for event in batch:
                self.state = fold(self.state, event)
        follower.close()
        self.offset = size
        self.lost = 0
        self._pending: list[bytes] = []
        self._kept_at = time.monotonic()
        self._kept_offset = offset

    def append(self, events: Iterable[ev.Event]) -> None:
        """Fold the events now; `flush` writes them."""
        for event in events:
            self.state = fold(self.state, event)
            self._pending.append(ev.encode(event).encode() + b"\n")

    def flush(self) -> None:
        """Write what is pending. A full disk keeps it for the next time."""
        if self._pending:
            # A torn line is closed, and skipped by readers as malformed.
            closing = b"\n" if self._torn else b""
            data = closing + b"".join(self._pending)
            try:
                written = os.write(self._file, data)
            except OSError:
                self._shed()
                return
            self.offset += written
            self._torn = written < len(data)
            taken = written - len(closing)
            self._pending = _unwritten(self._pending, taken) if self._torn else []
        now = time.monotonic()
        if now - self._kept_at > MEMO_S and self.offset != self._kept_offset:
            self.keep()

    def keep(self) -> None:
        """Write the fold beside the log."""
        self._kept_at = time.monotonic()
        if self._pending:
            return
        try:
            memo.save(self.folder, self.state, self.offset)
        except OSError:
            return  # Only a cache: the log itself says everything.
        self._kept_offset = self.offset

    def close(self) -> None:
        self.flush()
        self.keep()
        os.close(self._file)

    def _shed(self) -> None:
        surplus = len(self._pending) - WAITING_LINES
        if surplus > 0:
            self.lost += surplus
            del self._pending[:surplus]


def _unwritten(lines: list[bytes], written: int) -> list[bytes]:
    for index, line in enumerate(lines):
        if written < len(line):
            return lines[index:]
        written -= len(line)
    return []
