"""
Counters of the kernel's out-of-memory killer, before a run and after it.

A process that it kills gets SIGKILL and cannot say a word. What shows it is a counter
that rose meanwhile: `oom_kill` in `memory.events` of a cgroup (v2, with the groups
below it), in `memory.oom_control` (v1), and in `/proc/vmstat` for the whole machine.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from trainwatch.runner.files import read_json, write_json

FILE = "oom_kills.json"
MACHINE = "this machine"


@dataclass(frozen=True)
class Rise:
    """
    By how much the counters rose. A group's own is the run's, as long as nobody else
    is in it; one above it, and the machine's, may be somebody else's.
    """

    own: int = 0
    above: int = 0
    machine: int = 0
    where: str = ""
    """The group nearest to the run whose counter rose."""
    readable: bool = False
    """Some counter could be read, so that none having risen means something."""

    @property
    def any(self) -> bool:
        return self.own + self.above + self.machine > 0


class OomKills:
    """
    The counters that concern one run. On other systems than Linux there are none.

    Args:
        folder: the run directory, which keeps the counts of the beginning for a
            supervisor that takes over.
        system: the root of /proc and /sys.
    """

    def __init__(self, folder: Path, system: Path = Path("/")) -> None:
        self._file = folder / FILE
        self._system = system
        self._own: set[str] = set()
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}
        try:
            document = read_json(self._file)
            self._own = {str(path) for path in document["own"]}
            self._before = {str(k): int(v) for k, v in document["before"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # The first supervisor: there is nothing yet.

    def look(self, pid: int) -> None:
        """
        Read the counters of the groups that `pid` is in now. A group is counted from
        when it is first seen.
        """
        if sys.platform != "linux":
            return
        known = len(self._before) + len(self._own)
        for own, path in self._groups(pid):
            if own:
                self._own.add(path)
            self._count(path)
        self._count(MACHINE)
        if len(self._before) + len(self._own) > known:
            document = {"own": sorted(self._own), "before": self._before}
            try:
                write_json(self._file, document)
            except OSError:
                return  # A full disk: only a takeover would miss it.

    def rise(self) -> Rise:
        """By how much they have risen until now."""
        for path in self._before:
            self._count(path)
        risen = {
            path: count - self._before[path]
            for path, count in self._now.items()
            if count > self._before[path]
        }
        own = {path: n for path, n in risen.items() if path in self._own}
        above = {
            path: n
            for path, n in risen.items()
            if path not in self._own and path != MACHINE
        }
        nearest = max(own or above, key=len, default=MACHINE if risen else "")
        return Rise(
            own=max(own.values(), default=0),
            above=max(above.values(), default=0),
            machine=risen.get(MACHINE, 0),
            where=nearest,
            readable=bool(self._before),
        )

    def forget(self) -> None:
        """The run is over: nobody takes over any more."""
        self._file.unlink(missing_ok=True)

    def _count(self, path: str) -> None:
        count = self._read(path)
        if count is not None:
            self._now[path] = count
            self._before.setdefault(path, count)

    def _read(self, path: str) -> int | None:
        """The counter at `path`; None where it cannot be read."""
        if path == MACHINE:
            return _field(self._system / "proc/vmstat")
        for name in ("memory.events", "memory.oom_control"):
            count = _field(self._system / path / name)
            if count is not None:
                return count
        return None

    def _groups(self, pid: int) -> list[tuple[bool, str]]:
        """(is it the group of `pid` itself, its folder under the root)."""
        try:
            lines = (self._system / f"proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                base = Path("sys/fs/cgroup")
            elif "memory" in controllers.split(","):
                base = Path("sys/fs/cgroup/memory")
            else:
                continue
            folder = base / path.lstrip("/")
            for level in (folder, *folder.parents):
                found.append((level == folder, str(level)))
                if level == base:
                    break
        return found


def _field(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None
