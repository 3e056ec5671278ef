"""
System calls by name: the few in which a process waits.

Source: the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

X86_64 = {
    0: "read",
    1: "write",
    2: "open",
    7: "poll",
    16: "ioctl",
    17: "pread",
    18: "pwrite",
    19: "readv",
    20: "writev",
    23: "select",
    24: "sched_yield",
    26: "msync",
    34: "pause",
    35: "nanosleep",
    42: "connect",
    43: "accept",
    44: "sendto",
    45: "recvfrom",
    46: "sendmsg",
    47: "recvmsg",
    61: "wait4",
    65: "semop",
    72: "fcntl",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    82: "rename",
    87: "unlink",
    128: "sigtimedwait",
    162: "sync",
    202: "futex",
    217: "getdents",
    219: "restart",
    220: "semtimedop",
    230: "clock_nanosleep",
    232: "epoll_wait",
    247: "waitid",
    257: "openat",
    262: "stat",
    270: "pselect",
    271: "ppoll",
    277: "sync_file_range",
    281: "epoll_wait",
    288: "accept",
    306: "syncfs",
    332: "stat",
    441: "epoll_wait",
}
GENERIC = {
    22: "epoll_wait",
    25: "fcntl",
    29: "ioctl",
    32: "flock",
    56: "openat",
    61: "getdents",
    63: "read",
    64: "write",
    65: "readv",
    66: "writev",
    67: "pread",
    68: "pwrite",
    72: "pselect",
    73: "ppoll",
    79: "stat",
    81: "sync",
    82: "fsync",
    83: "fdatasync",
    84: "sync_file_range",
    95: "waitid",
    98: "futex",
    101: "nanosleep",
    115: "clock_nanosleep",
    124: "sched_yield",
    128: "restart",
    137: "sigtimedwait",
    192: "semtimedop",
    193: "semop",
    202: "accept",
    203: "connect",
    206: "sendto",
    207: "recvfrom",
    211: "sendmsg",
    212: "recvmsg",
    227: "msync",
    242: "accept",
    260: "wait4",
    267: "syncfs",
    291: "stat",
    441: "epoll_wait",
}
TABLES = {"x86_64": X86_64, "aarch64": GENERIC, "riscv64": GENERIC}
RUNNING = "running"


@dataclass(frozen=True)
class Call:
    """The call that a thread is in, or `running` for none."""

    name: str
    arguments: tuple[int, ...] = ()

    def argument(self, place: int) -> int:
        return self.arguments[place] if place < len(self.arguments) else 0


def call(line: str, machine: str = "") -> Call | None:
    """
    What `/proc/PID/task/TID/syscall` says: "running", or the number and arguments
    in hexadecimal. None where it says nothing that is known.
    """
    words = line.split()
    if not words:
        return None
    if words[0] == RUNNING:
        return Call(RUNNING)
    table = TABLES.get(machine or platform.machine())
    try:
        name = table.get(int(words[0])) if table else None
        arguments = tuple(int(word, 16) for word in words[1:7])
    except ValueError:
        return None
    return Call(name, arguments) if name else None
