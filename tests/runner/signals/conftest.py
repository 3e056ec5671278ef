"""A /proc folder as Linux has it, made by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainwatch.runner.signals.proc import Proc

TICKS = 100


class Made:
    """
    Args:
        root: where it lies.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = Proc(root)

    def process(
        self,
        pid: int,
        parent: int = 1,
        name: str = "python",
        status: str = "S",
        ticks: int = 0,
        **files: str,
    ) -> Path:
        """A process, its main thread, and more of its files."""
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        self.thread(pid, pid, name, status, ticks, parent)
        main = folder / "task" / str(pid)
        (folder / "stat").write_text((main / "stat").read_text())
        for file, text in files.items():
            (folder / file).write_text(text)
        return folder

    def thread(
        self,
        pid: int,
        thread: int,
        name: str = "python",
        status: str = "S",
        ticks: int = 0,
        parent: int = 1,
        syscall: str = "",
        wchan: str = "",
    ) -> Path:
        task = self.root / str(pid) / "task" / str(thread)
        task.mkdir(parents=True, exist_ok=True)
        numbers = [parent, pid, pid, 34816, pid, 0, 0, 0, 7, 0, ticks, 0, 0, 0]
        words = [*map(str, numbers), "20", "0", "1", "0", "9000", "1", "2"]
        (task / "stat").write_text(f"{thread} ({name}) {status} {' '.join(words)}\n")
        if syscall:
            (task / "syscall").write_text(syscall)
        if wchan:
            (task / "wchan").write_text(wchan)
        return task

    def call(self, pid: int, number: int, *arguments: int) -> None:
        """The system call that its main thread is in."""
        words = " ".join(hex(a) for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
        path = self.root / str(pid) / "task" / str(pid) / "syscall"
        path.write_text(f"{number} {words} 0x7ffe 0x7f77\n")

    def fd(self, pid: int, number: int, target: str) -> None:
        os.symlink(target, self.root / str(pid) / "fd" / str(number))

    def memory(self, pid: int, address: int, data: bytes) -> None:
        with open(self.root / str(pid) / "mem", "wb") as file:
            file.seek(address)
            file.write(data)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)
