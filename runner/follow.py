"""`events.jsonl` while it is written: whole lines only, a torn one means "not yet"."""

from __future__ import annotations

import os
from pathlib import Path

from trainwatch.probes import events as ev

FILE = "events.jsonl"
CHUNK = 1 << 20


class Follower:
    """
    Reads events from `offset` on, a chunk at a time.

    Args:
        folder: the run directory; its log may not exist yet.
        offset: where to begin, always the start of a line.
    """

    def __init__(self, folder: Path, offset: int = 0) -> None:
        self.path = folder / FILE
        self.offset = offset
        self.malformed = 0
        self._file: int | None = None

    def read(self, limit: int = CHUNK) -> list[ev.Event]:
        """
        The events of at most `limit` new bytes; empty when there is nothing new.

        Raises:
            OSError: the log exists but cannot be read.
        """
        data = self.lines(limit)
        events = []
        for line in data:
            try:
                events.append(ev.decode(line))
            except ev.MalformedEvent:
                self.malformed += 1
        return events

    def lines(self, limit: int = CHUNK) -> list[bytes]:
        """The whole lines of at most `limit` new bytes."""
        if self._file is None:
            try:
                self._file = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return []
        data = os.pread(self._file, limit, self.offset)
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) == limit:
                # No line is this long: skip it rather than wait for ever.
                self.malformed += 1
                self.offset += len(data)
            return []
        self.offset += end
        return [line for line in data[:end].split(b"\n") if line]

    @property
    def behind(self) -> int:
        """Bytes not yet read."""
        try:
            return max(0, self.path.stat().st_size - self.offset)
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
