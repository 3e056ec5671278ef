"""
Stacks of all training processes, without a debugger.

The probes register `faulthandler` for a signal and name it when they join; only
such a process is sent it, because the signal would kill any other. The dump
works while the process is blocked in C.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.runner.commands import Access, Command, send_signal
from trainwatch.runner.state import Process

WAIT_S = 3.0
STILL_S = 0.15


class Stacks:
    """The stacks of every process that can be asked, as they arrive."""

    def __init__(self, access: Access, mono: float) -> None:
        self.began = mono
        self._asked: dict[int, tuple[Process, Path, int]] = {}
        self._sizes: dict[int, tuple[int, float]] = {}
        self.mute: list[Process] = []
        for process in access.state.processes.values():
            if process.left is not None or process.role == "launcher":
                continue
            if process.stack_signal is None or process.stack_file is None:
                self.mute.append(process)
                continue
            path = Path(process.stack_file)
            size = path.stat().st_size if path.exists() else 0
            if send_signal(process.pid, process.stack_signal):
                self._asked[process.pid] = (process, path, size)

    def complete(self, mono: float) -> bool:
        """Whether every dump has come and stands still, or its time is over."""
        if mono - self.began > WAIT_S:
            return True
        for pid, (_, path, before) in self._asked.items():
            size = path.stat().st_size if path.exists() else 0
            known, since = self._sizes.get(pid, (-1, mono))
            if size != known:
                self._sizes[pid] = (size, mono)
                return False
            if size == before or mono - since < STILL_S:
                return False
        return True

    def text(self) -> str:
        """All stacks, one block a process, the innermost frame first."""
        blocks = []
        for process, path, before in self._asked.values():
            title = f"=== {_title(process)}"
            try:
                with path.open("rb") as file:
                    file.seek(before)
                    dump = file.read().decode("utf-8", "replace").strip()
            except OSError as error:
                dump = f"not readable: {error}"
            dump = dump or "no answer: its interpreter did not take the signal"
            blocks.append(f"{title}\n{dump}\n")
        for process in self.mute:
            blocks.append(f"=== {_title(process)}\nnot asked: it handles no signal\n")
        return "\n".join(blocks)

    @property
    def count(self) -> int:
        return len(self._asked)


def _title(process: Process) -> str:
    rank = "" if process.rank is None else f"rank {process.rank}, "
    return (
        f"{rank}process {process.pid} ({process.role}), in {process.phase.name}, "
        f"step {'-' if process.step is None else process.step}"
    )


class Stack(Command):
    """Write the stacks of all processes into one file and name it."""

    name = "stack"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        self.stacks = Stacks(self.access, mono)
        if not self.stacks.count:
            self.finish(
                "refused",
                "no process can be asked: no probe has connected"
                if not self.access.state.processes
                else "no process handles our signal",
            )

    def tick(self, mono: float) -> None:
        if not self.stacks.complete(mono):
            return
        folder = self.access.folder / "stacks"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / f"{time.strftime('%H%M%S')}-{self.id}.txt"
        path.write_text(self.stacks.text())
        os.chmod(path, 0o600)
        count = self.stacks.count
        many = "process" if count == 1 else "processes"
        self.finish("done", f"stacks of {count} {many}", str(path))
