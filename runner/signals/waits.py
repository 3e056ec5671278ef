"""
What a thread waits for: its system call, read as a person would.

The words of WAITS are what verdicts rest on. A futex is a lock inside one process
unless its operation lacks FUTEX_PRIVATE_FLAG (linux/futex.h); without a time limit
only another thread of the same process can end that wait.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from trainwatch.runner.signals.calls import RUNNING, Call, call
from trainwatch.runner.signals.proc import Proc
from trainwatch.runner.signals.sockets import peer

WAITS = (
    "running",
    "stopped",
    "dead",
    "keyboard",
    "terminal full",
    "file lock",
    "lock",
    "shared lock",
    "timed lock",
    "sleep",
    "child",
    "pipe",
    "pipe full",
    "socket",
    "disk",
    "file",
    "accept",
    "poll",
    "timed poll",
    "other",
    "",
)
"""`lock` has no time limit and is this process's own; `accept` waits for somebody who
wants to connect; "" is not known."""
FUTEX_PRIVATE = 128
LOCKING = (6, 7, 37, 38)
"""fcntl's F_SETLK, F_SETLKW, F_OFD_SETLK and F_OFD_SETLKW."""
ABSOLUTE = 1
"""clock_nanosleep's TIMER_ABSTIME."""
CLOCKS = {0: time.time, 1: time.monotonic}
MICROSECOND, NANOSECOND = 1e-6, 1e-9
MOST_POLLED = 32
POLL_S = 10.0
PATH, PAGE = 1024, 4096

_READS = ("read", "readv", "pread", "recvfrom", "recvmsg", "connect")
_WRITES = ("write", "writev", "pwrite", "sendto", "sendmsg")
_DISK = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync")
_FILES = ("open", "openat", "stat", "getdents", "rename", "unlink")
_KERNEL = (
    ("locks_lock", "file lock"),
    ("nanosleep", "sleep"),
    ("do_wait", "child"),
    ("pipe_read", "pipe"),
    ("pipe_write", "pipe full"),
    ("n_tty_read", "keyboard"),
    ("unix_stream_read", "socket"),
    ("sk_wait", "socket"),
)
"""Parts of the kernel's own names for waits, where the call cannot be read."""


@dataclass(frozen=True)
class Wait:
    what: str = ""
    """One of WAITS."""
    call: str = ""
    fd: int | None = None
    target: str = ""
    """What the file descriptor is: a path, `pipe:[…]`, `socket:[…]`."""
    left_s: float | None = None
    """Of a sleep, at most."""


def wait(proc: Proc, pid: int, thread: int, status: str, machine: str = "") -> Wait:
    """What `thread` of `pid`, whose status letter is `status`, waits for."""
    if status in "Tt":
        return Wait("stopped")
    if status in "ZX":
        return Wait("dead")
    if status == "R":
        return Wait("running")
    line = proc.text(pid, "task", thread, "syscall")
    known = call(line, machine) if line else None
    if known is not None and known.name == RUNNING:
        return Wait("running")
    if known is None:
        kernel = proc.text(pid, "task", thread, "wchan") or ""
        found = next((what for part, what in _KERNEL if part in kernel), "")
        return Wait(found or ("disk" if status == "D" else ""), kernel)
    found_wait = _of(proc, pid, known)
    if status == "D" and found_wait.what in ("other", "file"):
        return Wait("disk", known.name, found_wait.fd, found_wait.target)
    return found_wait


def polls(found: Wait) -> bool:
    """Asleep for a moment: it may look for something again and again."""
    return found.what == "sleep" and (found.left_s or 0.0) <= POLL_S


def _of(proc: Proc, pid: int, known: Call) -> Wait:
    name = known.name
    if name == "futex":
        if known.argument(3):
            return Wait("timed lock", name)
        private = known.argument(1) & FUTEX_PRIVATE
        return Wait("lock" if private else "shared lock", name)
    if name in ("nanosleep", "clock_nanosleep"):
        return Wait("sleep", name, left_s=_left(proc, pid, known))
    if name in ("wait4", "waitid"):
        return Wait("child", name)
    if name in ("semop", "semtimedop"):
        return Wait("shared lock" if name == "semop" else "timed lock", name)
    if name == "accept":
        return Wait("accept", name)
    if name == "flock" or (name == "fcntl" and known.argument(1) in LOCKING):
        return _on(proc, pid, known, "file lock")
    if name in ("select", "pselect") and not known.argument(0):
        unit = MICROSECOND if name == "select" else NANOSECOND
        left = _span(proc, pid, known.argument(4), unit)
        return Wait("sleep", name, left_s=left)
    if name in ("poll", "ppoll", "select", "pselect", "epoll_wait"):
        return _polling(proc, pid, known)
    if name in _READS:
        return _on(proc, pid, known, "file")
    if name in _WRITES:
        return _on(proc, pid, known, "file", writes=True)
    if name in _DISK:
        return _on(proc, pid, known, "disk")
    if name in _FILES:
        place = 1 if name in ("openat", "stat") else 0
        return Wait("file", name, target=_path(proc, pid, known.argument(place)))
    return Wait("other", name)


def _on(
    proc: Proc, pid: int, known: Call, otherwise: str, writes: bool = False
) -> Wait:
    """A wait on the file descriptor of the first argument."""
    fd = known.argument(0)
    target = peer(proc, pid, proc.link(pid, "fd", fd) or "")
    what = otherwise
    if otherwise == "file":
        what = _at(target, writes)
    return Wait(what, known.name, fd, target)


def _at(target: str, writes: bool = False) -> str:
    if is_terminal(target):
        return "terminal full" if writes else "keyboard"
    if target.startswith("pipe:") or target.endswith(".fifo"):
        return "pipe full" if writes else "pipe"
    if target.startswith(("socket:", "tcp ")):
        return "socket"
    return "file"


def is_terminal(target: str) -> bool:
    return target.startswith(("/dev/pts/", "/dev/tty", "/dev/console"))


def _polling(proc: Proc, pid: int, known: Call) -> Wait:
    """A wait on several descriptors: named by the terminal, or by the only one."""
    fds: list[int] = []
    limited = known.argument(2) < 1 << 31
    if known.name == "epoll_wait":
        fds = _epolled(proc, pid, known.argument(0))
        limited = known.argument(3) < 1 << 31
    elif known.name in ("select", "pselect"):
        fds = [0] if known.argument(0) == 1 else []
        limited = bool(known.argument(4))
    else:
        count = min(known.argument(1), MOST_POLLED)
        words = proc.numbers(pid, known.argument(0), f"={count * 2}i") or ()
        fds = [fd for fd in words[::2] if fd >= 0]
        if known.name == "ppoll":
            limited = bool(known.argument(2))
    targets = {fd: proc.link(pid, "fd", fd) or "" for fd in fds}
    for fd, target in targets.items():
        if is_terminal(target):
            return Wait("keyboard", known.name, fd, target)
    what = "timed poll" if limited else "poll"
    if len(targets) == 1:
        ((fd, target),) = targets.items()
        return Wait(what, known.name, fd, peer(proc, pid, target))
    if targets and not limited and all(t[:5] == "pipe:" for t in targets.values()):
        return Wait("pipe", known.name)
    return Wait(what, known.name)


def _path(proc: Proc, pid: int, place: int) -> str:
    """The text at `place` of the process's memory; it may not reach over a page."""
    data = proc.memory(pid, place, min(PATH, PAGE - place % PAGE)) if place else None
    return (data or b"").partition(b"\0")[0].decode("utf-8", "replace")


def _epolled(proc: Proc, pid: int, fd: int) -> list[int]:
    text = proc.text(pid, "fdinfo", fd) or ""
    found = [line.split() for line in text.splitlines() if line.startswith("tfd:")]
    return [int(words[1]) for words in found[:MOST_POLLED] if len(words) > 1]


def _left(proc: Proc, pid: int, known: Call) -> float | None:
    """Seconds that a sleep still lasts at most; None where that cannot be read."""
    if known.name == "nanosleep":
        return _span(proc, pid, known.argument(0))
    clock = CLOCKS.get(known.argument(0))
    if not known.argument(1) & ABSOLUTE:
        return _span(proc, pid, known.argument(2))
    end = _span(proc, pid, known.argument(2))
    if end is None or clock is None:
        return None
    return max(0.0, end - clock())


def _span(
    proc: Proc, pid: int, address: int, fraction: float = NANOSECOND
) -> float | None:
    """The seconds of a timespec, or of a timeval, in the process's memory."""
    pair = proc.numbers(pid, address, "=qq") if address else None
    return None if pair is None else pair[0] + pair[1] * fraction
