"""
Cuts console output into records as it arrives.

A record is one line, or the lines that belong together: a traceback with the
exceptions chained to it, `file.py:12: UserWarning: text` with its source line, a
line with indented lines under it, a table. Lines of different ranks may be
interleaved; each rank's record is put together by itself.
"""

from __future__ import annotations

import re

from trainwatch.runner.text import plain
from trainwatch.runner.triage.records import (
    MAX_CHARACTERS,
    MAX_LINES,
    Record,
    is_exception,
    is_frame,
    is_logged,
    is_warning,
    read,
    strip_rank,
)

MAX_OPEN = 64
"""Ranks whose records are put together at the same time."""
PATIENCE = 64
"""Lines of others after which an open record is over."""
MESSAGE_LINES = 12
"""Lines without indentation that an exception's message may go on for."""
FAILURE_LINES = 80
"""The same for torchrun's table of failed ranks."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_BAR = re.compile(
    r"[^|\[\n]{0,200}?(?:\d{1,3}%\|[^|]{0,400}\| ?\S{1,40} ?|\d[\d.,]{0,20}[kMGT]?"
    r" ?[a-zA-Z]{0,20} )\[(?:\d|\?)[^\]\n]{0,120}\]"
)
_CHAINED = ("During handling of the above", "The above exception was")
_RULER = re.compile(r"[-=*#~+| ]{8,}$")


def without_bar(line: str) -> str:
    """What is glued to a progress bar; all of a line that has none."""
    if "[" not in line or ("%|" not in line and "/s" not in line and "?" not in line):
        return line
    for _ in range(8):
        bar = _BAR.match(line)
        if not bar or (":" not in bar[0] and "%|" not in bar[0]):
            break
        line = line[bar.end() :]
    return line


class _Draft:
    """A record that may still grow."""

    __slots__ = ("characters", "failed", "fenced", "kind", "lines", "loose", "seen")

    def __init__(self, kind: str, line: str, seen: int) -> None:
        self.kind = kind
        self.lines = [line]
        self.characters = len(line) + 1
        self.seen = seen
        self.loose = 0
        self.fenced = 0
        self.failed = "ChildFailedError" in line
        """It is torchrun's table of failed ranks."""

    def add(self, line: str) -> None:
        if "ChildFailedError" in line:
            self.failed = True
        self.lines.append(line)
        self.characters += len(line) + 1
        # The head and the end of a long traceback say what matters.
        while len(self.lines) > 1 and self.over:
            middle = self.lines.pop(len(self.lines) // 2)
            self.characters -= len(middle) + 1

    @property
    def over(self) -> bool:
        return len(self.lines) > MAX_LINES or self.characters > MAX_CHARACTERS + 1

    def has_room(self, line: str) -> bool:
        if self.kind in ("frames", "message"):
            return True
        room = MAX_CHARACTERS - self.characters
        return len(self.lines) < MAX_LINES and len(line) < room


class Cutter:
    """
    Streaming and bounded: what is kept is one unfinished line and one open
    record a rank, each at most `MAX_CHARACTERS` long.
    """

    def __init__(self, stream: str = "console") -> None:
        self._stream = stream
        self._tail = ""
        self._cut = False
        """The rest of an overlong line is being thrown away."""
        self._drafts: dict[int | None, _Draft] = {}
        self._lines = 0

    def feed(self, text: str) -> list[Record]:
        """The records that `text` completes, oldest first."""
        records: list[Record] = []
        for line in self._split(text):
            self._take(line, records)
        return records

    def settle(self) -> list[Record]:
        """
        The records that are open between lines; an unfinished line stays.

        For when the output has paused: what would have continued a record
        would have been there by now.
        """
        records: list[Record] = []
        for rank in list(self._drafts):
            self._close(rank, records)
        return records

    def flush(self) -> list[Record]:
        """Everything that is left, at the end of the output."""
        records: list[Record] = []
        if self._tail and not self._cut:
            self._take(self._tail.rstrip("\r"), records)
        self._tail = ""
        self._cut = False
        return records + self.settle()

    def _split(self, text: str) -> list[str]:
        """The lines that `text` completes, without their ends."""
        if self._tail.endswith("\r"):
            # Whether this \r ends a bar or a line shows only now.
            text = self._tail + text
            self._tail = ""
        held = "\r" if text.endswith("\r") else ""
        lines = _LINE_END.split(text[:-1] if held else text)
        rest = lines.pop() + held
        if lines and self._cut:
            self._cut = False
            del lines[0]
        elif lines and self._tail:
            lines[0] = self._tail + lines[0]
            self._tail = ""
        if self._cut:
            return lines
        room = MAX_CHARACTERS - len(self._tail)
        self._tail += rest[:room]
        if len(rest) > room:
            self._cut = True
            lines.append(self._tail)
            self._tail = ""
        return lines

    def _take(self, line: str, records: list[Record]) -> None:
        if len(line) > MAX_CHARACTERS:
            line = line[:MAX_CHARACTERS]
        if not line.isprintable():
            line = plain(line)
        line = without_bar(line)
        self._lines += 1
        rank: int | None = None
        if line[:1] in "[0123456789":
            rank, line = strip_rank(line)
        draft = self._drafts.get(rank)
        if draft is not None:
            if draft.has_room(line) and self._continues(draft, line):
                draft.add(line)
                draft.seen = self._lines
                return
            self._close(rank, records)
        if len(self._drafts) > 1 or (self._drafts and rank is not None):
            self._close_stale(records)
        if not line.strip():
            return
        kind = _kind(line)
        if kind == "done":
            records.append(self._record([line], rank))
            return
        self._drafts[rank] = _Draft(kind, line, self._lines)

    def _continues(self, draft: _Draft, line: str) -> bool:
        indented = line[:1] in (" ", "\t")
        if draft.kind == "line":
            return indented and not is_frame(line)
        if draft.kind == "warned":
            # Only the source line belongs to it.
            if indented and draft.loose == 0 and not is_frame(line):
                draft.loose = 1
                return True
            return False
        if draft.kind == "table":
            if "|" in line or line.startswith(("Notes", "- ")) or _RULER.match(line):
                draft.loose = 0
                return True
            draft.loose += 1
            return not line.strip() and draft.loose < 3
        if draft.kind == "frames":
            return self._continues_frames(draft, line, indented)
        return self._continues_message(draft, line, indented)

    def _continues_frames(self, draft: _Draft, line: str, indented: bool) -> bool:
        if indented or not line.strip() or line.startswith("Traceback (most"):
            return True
        draft.kind = "message"
        draft.loose = draft.fenced = 0
        return True

    def _continues_message(self, draft: _Draft, line: str, indented: bool) -> bool:
        """After the line that names the exception."""
        if line.startswith(_CHAINED):
            draft.kind = "frames"
            return True
        if not line.strip():
            draft.fenced = max(draft.fenced, 1)
            return True
        if line.startswith("Traceback (most"):
            return False
        if draft.failed:
            draft.loose += 1
            if line.startswith("====") and draft.loose > 3:
                draft.kind = "table"
                return True
            return draft.loose <= FAILURE_LINES
        if draft.fenced:
            return False
        if indented:
            return not is_frame(line)
        draft.loose += 1
        return draft.loose <= MESSAGE_LINES and _is_loose(line)

    def _close(self, rank: int | None, records: list[Record]) -> None:
        draft = self._drafts.pop(rank, None)
        if draft is not None:
            records.append(self._record(draft.lines, rank))

    def _close_stale(self, records: list[Record]) -> None:
        for rank, draft in list(self._drafts.items()):
            if self._lines - draft.seen > PATIENCE or len(self._drafts) > MAX_OPEN:
                self._close(rank, records)

    def _record(self, lines: list[str], rank: int | None) -> Record:
        while lines and not lines[-1].strip():
            lines.pop()
        return read("\n".join(lines), stream=self._stream, rank=rank)


def _kind(line: str) -> str:
    """How a record that begins with `line` goes on."""
    if line.startswith("Traceback (most") or is_frame(line):
        return "frames"
    if is_exception(line):
        return "message"
    if is_warning(line):
        return "warned"
    if "LOAD REPORT" in line:
        return "table"
    if line[0] == "{" and line[-1] == "}":
        return "done"
    return "line"


def _is_loose(line: str) -> bool:
    """A line that may go on an exception's message: no beginning of a record."""
    return not (
        is_warning(line)
        or is_logged(line)
        or is_exception(line)
        or (line[0] == "{" and "':" in line and "}" in line and "loss" in line)
    )
