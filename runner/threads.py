"""
The threads in a dump of faulthandler or py-spy, and where each is in the user's code.

Pure. A dump names the innermost frame first. The frames that are the user's are those
of no library, not Python's own, not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

_THREAD = re.compile(
    r"^(?P<current>Current t|T)hread (?P<name>.+?)(?: \(most recent call first\))?"
    r"(?:: (?P<spy>.+))?:?$"
)
_FRAME = re.compile(
    r'^  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<name>.+)$'
)
_SPIED = re.compile(r"^    (?P<name>.+) \((?P<file>[^()]*):(?P<line>\d+)\)$")
_FOREIGN = re.compile(
    r"^.*(?:/(?:site|dist)-packages/|/lib(?:64)?/python\d(?:\.\d+)?/|/python\d+\.zip/"
    r"|/(?=_trainwatch_probes/))|^<frozen "
)
"""What stands before the path of a library's file, where its folder is no news."""


@dataclass(frozen=True)
class Frame:
    file: str
    line: int | None
    function: str

    @property
    def users(self) -> bool:
        """Whether it is code of the user's own."""
        return _FOREIGN.search(self.file) is None

    @property
    def shown(self) -> str:
        """The file; a library's without the folder that it is installed in."""
        return self.file if self.file[:1] == "<" else _FOREIGN.sub("", self.file)

    def __str__(self) -> str:
        line = "?" if self.line is None else self.line
        return f"{PurePath(self.file).name}:{line} in {self.function}"


@dataclass(frozen=True)
class Thread:
    title: str
    current: bool = False
    frames: tuple[Frame, ...] = ()
    """The innermost first."""

    @property
    def users(self) -> tuple[Frame, ...]:
        return tuple(frame for frame in self.frames if frame.users)

    @property
    def of_script(self) -> bool:
        """Whether a script was begun in it, which is done in the main thread."""
        return bool(self.frames) and any(
            frame.function == "<module>" and frame.users for frame in self.frames[-8:]
        )


def threads(dump: str) -> tuple[Thread, ...]:
    """The threads of a dump, the main one first; others as they stand in it."""
    found: list[Thread] = []
    frames: list[Frame] = []
    for line in (*dump.splitlines(), "Thread end"):
        frame = _FRAME.match(line) or _SPIED.match(line)
        if frame is not None:
            number = int(frame["line"]) if frame["line"].isdigit() else None
            frames.append(Frame(frame["file"], number, frame["name"]))
            continue
        begun = _THREAD.match(line)
        if begun is None:
            continue
        if found:
            last = found[-1]
            found[-1] = Thread(last.title, last.current, tuple(frames))
        frames = []
        found.append(Thread(line.rstrip(":"), begun["current"] == "Current t"))
    return _main_first(found[:-1])


def _main_first(found: Sequence[Thread]) -> tuple[Thread, ...]:
    """(faulthandler dumps the oldest thread last, and names none of them main.)"""
    main = next((thread for thread in found if "MainThread" in thread.title), None)
    main = main or next((thread for thread in found if thread.of_script), None)
    main = main or (found[-1] if found else None)
    if main is None:
        return ()
    return (main, *(thread for thread in found if thread is not main))


def place(found: Sequence[Thread]) -> str:
    """Where a process is, in one line: the innermost line of the user's, and below."""
    if not found or not found[0].frames:
        return "no Python frame"
    main = found[0]
    inner = main.frames[0]
    if not main.users:
        return f"no code of yours; {inner}"
    own = main.users[0]
    return str(own) if own is inner else f"{own}, there {inner}"


def ordered(found: Iterable[Thread]) -> str:
    """The threads as text, those that run the user's code before the others."""
    blocks = []
    listed = list(found)
    rest = sorted(listed[1:], key=lambda thread: not thread.users)
    for number, thread in enumerate((*listed[:1], *rest)):
        title = f"{thread.title}{' [main]' if number == 0 else ''}"
        lines = [
            f'  {">" if frame.users else " "} File "{frame.shown}", line '
            f"{'?' if frame.line is None else frame.line} in {frame.function}"
            for frame in thread.frames
        ]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks)
