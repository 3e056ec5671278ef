"""A supervisor as a command sees it, around a process that is really there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold
from trainwatch.runner.state import (
    EMPTY,
    Process,
    RunFacts,
    RunState,
    StepStat,
    Training,
)


@dataclass
class Reading:
    """As much of a flight record as a command looks at."""

    phase: str = "backward"
    step: int | None = None
    detail: str = ""


@dataclass
class Line:
    """The connection of one process: what was asked of it."""

    pid: int
    asked: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False


class Supervising:
    """
    Args:
        folder: the run directory.
        code: what the command runs.
    """

    def __init__(self, folder: Path, code: str = "import time; time.sleep(60)") -> None:
        self.folder = folder
        self.terminal = -1
        self.state: RunState = replace(EMPTY, run=RunFacts(status="running"))
        self.lines: dict[int, Line] = {}
        self.records: dict[int, Reading] = {}
        self.told: list[ev.Body] = []
        self.now = 1e9
        """Of both clocks."""
        self.command = subprocess.Popen(
            [sys.executable, "-c", code],
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.child = self.command.pid
        self.receiver = self.flights = self

    def rank(self, pid: int, step: int, world: int = 1, **training: Any) -> Line:
        """A training process that has done `step` steps, half a second each."""
        known = {"trainer": "Trainer", "can_save": True, "resumable": True}
        process = Process(
            pid=pid,
            rank=len(self.lines) if world > 1 else None,
            world_size=world,
            role="rank",
            step=step,
            flight="yes",
            training=Training(**{**known, **training}),
            steps=StepStat(count=step, recent=(0.5,) * 4),
        )
        processes = {**self.state.processes, pid: process}
        self.state = replace(self.state, processes=processes)
        self.records[pid] = Reading(step=step)
        self.lines[pid] = Line(pid)
        return self.lines[pid]

    # --- what a command uses ---

    def emit(self, body: ev.Body) -> None:
        self.told.append(body)
        self.state = fold(self.state, ev.of(body, time=self.now, pid=1))

    def by_pid(self, pid: int) -> Line | None:
        return self.lines.get(pid)

    def request(self, line: Line, message: dict[str, Any]) -> bool:
        if not line.deaf:
            line.asked.append(dict(message))
        return not line.deaf

    def reading(self, pid: int) -> Reading | None:
        return self.records.get(pid)

    # --- what a test looks at ---

    @property
    def said(self) -> str:
        """The last progress."""
        told = [b.detail for b in self.told if isinstance(b, ev.CommandProgressed)]
        return told[-1] if told else ""

    def start(self, kind: type, **arguments: Any) -> Any:
        """A command of `kind` that has begun."""
        command = kind(self, f"c{len(self.state.commands)}", None)
        how = arguments.get("how", "")
        self.emit(ev.CommandAsked(command.id, command.name, how))
        command.begin(arguments, self.now)
        return command

    def answered(
        self, command: Any, pid: int, outcome: str = "done", **more: Any
    ) -> None:
        body = ev.RequestFinished(id=command.id, outcome=outcome, **more)
        command.event(ev.of(body, time=self.now, pid=pid))

    def tick(self, command: Any, seconds: float = 0.1) -> None:
        self.now += seconds
        command.tick(self.now)

    def close(self) -> None:
        self.command.kill()
        self.command.communicate()
