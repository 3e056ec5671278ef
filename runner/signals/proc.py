"""
Files of /proc/PID, parsed. What cannot be read is None.

Who may read: `stat` and `wchan` anyone, `syscall`, `io`, `fd` and `mem` the same user
where the kernel lets it trace the process (proc(5)).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
THREADS = 128
"""Threads of one process that are looked at."""


@dataclass(frozen=True)
class Stat:
    """`/proc/PID/stat`. Times are clock ticks."""

    name: str
    status: str
    """One letter: R running, S asleep, D in the disk, T stopped, Z dead."""
    parent: int
    group: int
    terminal_group: int
    ticks: int
    """CPU in user and kernel mode."""
    major_faults: int
    threads: int
    started: int
    """After boot; with the pid it names one process for good."""


@dataclass(frozen=True)
class Traffic:
    """Bytes so far: through read and write calls, and to and from the disk."""

    read: int
    written: int
    disk_read: int
    disk_written: int


class Proc:
    """
    Args:
        root: where /proc is.
    """

    def __init__(self, root: Path = PROC) -> None:
        self.root = os.fspath(root)

    def text(self, *names: object) -> str | None:
        path = "/".join([self.root, *(str(name) for name in names)])
        try:
            with open(path, "rb", buffering=0) as file:
                return (file.read() or b"").decode("utf-8", "replace")
        except OSError:
            return None

    def link(self, *names: object) -> str | None:
        try:
            return os.readlink("/".join([self.root, *(str(name) for name in names)]))
        except OSError:
            return None

    def names(self, *names: object) -> list[str]:
        try:
            return os.listdir("/".join([self.root, *(str(name) for name in names)]))
        except OSError:
            return []

    def stat(self, pid: int, thread: int | None = None) -> Stat | None:
        text = (
            self.text(pid, "stat")
            if thread is None
            else self.text(pid, "task", thread, "stat")
        )
        return None if text is None else stat(text)

    def traffic(self, pid: int) -> Traffic | None:
        text = self.text(pid, "io")
        return None if text is None else traffic(text)

    def threads(self, pid: int) -> list[int]:
        found = sorted(int(n) for n in self.names(pid, "task") if n.isdigit())
        return found[:THREADS]

    def switches(self, pid: int) -> int | None:
        """Times the main thread has given up the processor by itself."""
        text = self.text(pid, "status") or ""
        for line in text.splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                return int(line.split()[1])
        return None

    def queued_ns(self, pid: int) -> int | None:
        """Nanoseconds that the main thread was ready and had no processor."""
        words = (self.text(pid, "schedstat") or "").split()
        return int(words[1]) if len(words) > 1 else None

    def memory(self, pid: int, address: int, length: int) -> bytes | None:
        """`length` bytes of the process's memory."""
        try:
            descriptor = os.open(f"{self.root}/{pid}/mem", os.O_RDONLY)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, length, address)
        except (OSError, OverflowError):
            return None
        finally:
            os.close(descriptor)
        return data if len(data) == length else None

    def numbers(self, pid: int, address: int, form: str) -> tuple[int, ...] | None:
        """Numbers of the struct format `form` in the process's memory."""
        data = self.memory(pid, address, struct.calcsize(form))
        return None if data is None else struct.unpack(form, data)


def stat(text: str) -> Stat | None:
    """The name may hold blanks and brackets; it ends at the last one."""
    head, found, tail = text.rpartition(")")
    words = tail.split()
    if not found or len(words) < 20:
        return None
    try:
        return Stat(
            name=head.partition("(")[2],
            status=words[0],
            parent=int(words[1]),
            group=int(words[2]),
            terminal_group=int(words[5]),
            ticks=int(words[11]) + int(words[12]),
            major_faults=int(words[9]),
            threads=int(words[17]),
            started=int(words[19]),
        )
    except ValueError:
        return None


def traffic(text: str) -> Traffic | None:
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        if value.isdigit():
            values[name] = int(value)
    try:
        return Traffic(
            values["rchar"],
            values["wchar"],
            values["read_bytes"],
            values["write_bytes"],
        )
    except KeyError:
        return None
