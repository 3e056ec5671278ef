"""A program that failed: what it raised, and the command that ran it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainwatch.runner.accidents.interpreter import Interpreter, at, of_command

_FRAME = re.compile(r'^ +File "([^"\n]+)", line (\d+)', re.MULTILINE)
_LAST = re.compile(
    r"^((?:\w+\.)*[A-Z]\w*(?:Error|Exception|NotFound|Interrupt))(?:: (.*))?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Failure:
    """An exception that nobody caught."""

    kind: str
    message: str
    traceback: str = ""

    @property
    def last(self) -> tuple[str, int] | None:
        """File and line of the innermost frame."""
        found = _FRAME.findall(self.traceback)
        return (found[-1][0], int(found[-1][1])) if found else None

    @property
    def files(self) -> list[str]:
        return [file for file, _ in _FRAME.findall(self.traceback)]

    @property
    def said(self) -> str:
        """The error in one line, as Python ends a traceback."""
        lines = self.message.strip().splitlines() or [""]
        line = next(
            (li for li in reversed(lines) if li.startswith(self.kind)), lines[0]
        )
        return (
            line[:300] if line.startswith(self.kind) else f"{self.kind}: {line[:300]}"
        )


@dataclass(frozen=True)
class Setting:
    """The command that failed, and where it was started."""

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Libraries that the process had imported -> version."""
    program: str = ""
    """The Python of the process, where a probe told it."""

    def python(self) -> Interpreter | None:
        if self.program:
            return at(Path(self.program), self.environment)
        return of_command(self.argv, self.cwd, self.environment)


def said(text: str) -> Failure | None:
    """The failure that the end of a program's output tells, without any probe."""
    found = list(_LAST.finditer(text))
    if found:
        last = found[-1]
        began = text.rfind("Traceback (most recent call last):", 0, last.start())
        if began < 0:
            began = max(0, text.rfind("  File ", 0, last.start()))
        return Failure(last[1], last[0], text[began : last.end()])
    return None
