"""
Stacks of all training processes, without a debugger.

The probes register `faulthandler` for a signal and name it when they join; only
such a process is sent it, because the signal would kill any other. The dump
works while the process is blocked in C. A process that was not asked is looked at
with py-spy, where that is installed and allowed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.runner.commands import Access, Command, send_signal
from trainwatch.runner.spy import Spy, pythons
from trainwatch.runner.state import Process
from trainwatch.runner.threads import ordered, place, threads
from trainwatch.runner.trust import belongs, dump_file

WAIT_S = 3.0
SPY_WAIT_S = 10.0
STILL_S = 0.15


class Stacks:
    """The stacks of every process that can be asked, as they arrive."""

    def __init__(self, access: Access, mono: float) -> None:
        self.began = mono
        self._asked: dict[int, tuple[Process, Path, int]] = {}
        self._sizes: dict[int, tuple[int, float]] = {}
        self._spied: list[tuple[str, Spy]] = []
        for process in access.state.processes.values():
            if process.left is not None or process.role == "launcher":
                continue
            path = dump_file(process, access.folder, access.child)
            if path is None or process.stack_signal is None:
                if belongs(process.pid, access.child):
                    self._spied.append((_title(process), Spy(process.pid)))
                continue
            size = path.stat().st_size if path.exists() else 0
            if send_signal(process.pid, process.stack_signal):
                self._asked[process.pid] = (process, path, size)
        if not access.state.processes and access.child:
            pause = not access.state.run.adopted
            for pid in pythons(access.child):
                self._spied.append((f"process {pid}", Spy(pid, pause)))

    def complete(self, mono: float) -> bool:
        """Whether every dump has come and stands still, or its time is over."""
        if any(spy.running for _, spy in self._spied):
            return mono - self.began > SPY_WAIT_S
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
        """
        Where each process is in the user's code, then all stacks: the main thread
        first, of each thread the innermost frame first.
        """
        dumps = [
            (_title(process), *_read(path, before))
            for process, path, before in self._asked.values()
        ]
        for title, spy in self._spied:
            dump, reason = spy.text()
            reason = f"not asked: it did not say that it handles our signal; {reason}"
            dumps.append((title, dump, "" if dump else reason))
        self.count = sum(1 for _, dump, _ in dumps if dump)
        self.unseen = "; ".join(dict.fromkeys(why for *_, why in dumps if why))
        blocks, places = [], []
        for title, dump, why in dumps:
            found = threads(dump)
            what = ordered(found) if found else dump.strip() or why
            blocks.append(f"=== {title}\n{what}\n")
            places.append(f"{title}\n  {place(found) if found else why}\n")
        return "\n".join(["".join(places), *blocks])

    count = 0
    """Processes whose stacks came, once `text` was made."""
    unseen = ""
    """Why others' did not come."""

    @property
    def hopeless(self) -> bool:
        """Nobody was asked, and nobody looks or has looked."""
        return not self._asked and not any(spy.started for _, spy in self._spied)

    @property
    def asked(self) -> bool:
        """Some process was asked for its own."""
        return bool(self._asked)


def _read(path: Path, before: int) -> tuple[str, str]:
    """What was dumped, or why there is nothing."""
    try:
        with path.open("rb") as file:
            file.seek(before)
            dump = file.read().decode("utf-8", "replace").strip()
    except OSError as error:
        return "", f"not readable: {error}"
    return dump, "" if dump else "no answer: its interpreter did not take the signal"


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
        if self.stacks.hopeless:
            self.stacks.text()
            self._refuse()

    def tick(self, mono: float) -> None:
        if self.outcome is not None or not self.stacks.complete(mono):
            return
        text = self.stacks.text()
        if not self.stacks.count and not self.stacks.asked:
            self._refuse()
            return
        folder = self.access.folder / "stacks"
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / f"{time.strftime('%H%M%S')}-{self.id}.txt"
        path.write_text(text)
        os.chmod(path, 0o600)
        count = self.stacks.count
        many = "process" if count == 1 else "processes"
        self.finish("done", f"stacks of {count} {many}", str(path))

    def _refuse(self) -> None:
        known = bool(self.access.state.processes)
        none = "no process said that it handles our signal"
        none = none if known else "no process can be asked: no probe has connected"
        reason = self.stacks.unseen.rpartition("; ")[2]
        self.finish("refused", "; ".join(filter(None, (none, reason))))
