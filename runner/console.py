"""
The child's output: `console.log` read while it grows.

The log holds the bytes unchanged. `Tail` turns them into clean lines: escape
sequences gone, a progress bar's carriage returns folded to its last writing.
"""

from __future__ import annotations

import codecs
import json
import os
from collections import deque
from pathlib import Path

from trainwatch.runner.keeper import CONSOLE, INDEX
from trainwatch.runner.text import last_writing, plain

LINES = 5_000
LONGEST = 4_096
"""Characters of a line that are kept for showing."""
CHUNK = 1 << 18


class Tail:
    """
    Args:
        folder: the run directory.
        from_end: begin so many bytes before the end; None begins at the start.
        keep: how many lines to hold.
    """

    def __init__(
        self, folder: Path, from_end: int | None = None, keep: int = LINES
    ) -> None:
        self.path = folder / CONSOLE
        self.lines: deque[str] = deque(maxlen=keep)
        self.seen = 0
        self.offset = 0
        self._from_end = from_end
        self._file: int | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._partial = ""
        self._skip_first = False

    def raw(self) -> str:
        """The next new text, undecorated; empty when there is none."""
        if self._file is None:
            try:
                self._file = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return ""
            if self._from_end is not None:
                size = os.fstat(self._file).st_size
                self.offset = max(0, size - self._from_end)
                self._skip_first = self.offset > 0
        data = os.pread(self._file, CHUNK, self.offset)
        self.offset += len(data)
        return self._decode(data) if data else ""

    def read(self) -> bool:
        """Take in new output; True when something changed."""
        text = self.raw()
        if not text:
            return False
        parts = (self._partial + text).split("\n")
        self._partial = parts.pop()
        if len(self._partial) > 4 * LONGEST:
            # A bar without a newline: only its last writing will be shown.
            self._partial = self._partial[-LONGEST:]
        if self._skip_first and parts:
            parts = parts[1:]
            self._skip_first = False
        self.seen += len(parts)
        self.lines.extend(clean(part) for part in parts[-(self.lines.maxlen or 0) :])
        return True

    def shown(self) -> tuple[str, ...]:
        """The held lines and the one that is still growing."""
        growing = self.growing()
        return (*self.lines, growing) if growing else tuple(self.lines)

    @property
    def rewriting(self) -> bool:
        """The growing line is a bar that is written again and again."""
        return "\r" in self._partial

    def growing(self) -> str:
        """The line that has no end yet, clean; empty when there is none."""
        return clean(self._partial)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def offset_at(folder: Path, when: float) -> int:
    """
    Where in `console.log` the output after wall clock `when` begins, to the second
    of the index and never later; 0 without an index.
    """
    offset = 0
    try:
        with (folder / INDEX).open() as index:
            for line in index:
                mark = json.loads(line)
                if mark["time"] > when:
                    break
                offset = int(mark["offset"])
    except (OSError, ValueError, KeyError, TypeError):
        return offset
    return offset


def clean(line: str) -> str:
    """One line as a person should see it, safe to print."""
    return plain(last_writing(line.rstrip("\r")))[:LONGEST].expandtabs()
