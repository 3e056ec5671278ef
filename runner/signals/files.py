"""Files that a process has open for writing, and which of them grows. Linux only."""

from __future__ import annotations

import os

from trainwatch.runner.signals.proc import Proc

MOST = 64
ACCELERATORS = (
    "/dev/nvidia",
    "/dev/kfd",
    "/dev/dri/render",
    "/dev/accel",
    "/dev/habana",
    "/dev/davinci",
)
_WRITABLE = os.O_WRONLY | os.O_RDWR


def open_for_writing(proc: Proc, pid: int) -> dict[str, int]:
    """Path -> its length now, of regular files that `pid` may write to."""
    found: dict[str, int] = {}
    for fd in proc.names(pid, "fd")[:MOST]:
        path = proc.link(pid, "fd", fd) or ""
        if not path.startswith("/") or path.startswith(("/dev/", "/proc/", "/memfd:")):
            continue
        info = (proc.text(pid, "fdinfo", fd) or "").splitlines()
        flags = next((line.split()[1] for line in info if line[:6] == "flags:"), "0")
        if not int(flags, 8) & _WRITABLE:
            continue
        try:
            found[path] = os.stat(path).st_size
        except OSError:
            continue
    return found


def accelerator(proc: Proc, pid: int) -> str:
    """A device that computes and that `pid` has open, "" for none."""
    for fd in proc.names(pid, "fd"):
        path = proc.link(pid, "fd", fd) or ""
        if path.startswith(ACCELERATORS):
            return path
    return ""


def growing(
    before: dict[str, int], now: dict[str, int], seconds: float
) -> tuple[str, float] | None:
    """The file that grows fastest and its bytes a second; None where none does."""
    grown = {path: size - before.get(path, size) for path, size in now.items()}
    path = max(grown, key=lambda name: grown[name], default="")
    if not path or grown[path] <= 0 or seconds <= 0:
        return None
    return path, grown[path] / seconds
