"""
Ending a run: after the running step, now, or by force.

The screen is told which rung this is on. Only the person climbs to the next
one: nothing here turns a patient abort into a kill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

import psutil

from trainwatch.probes import events as ev
from trainwatch.runner.commands import (
    Command,
    interrupt,
    request_all,
    send_signal,
    training_ranks,
)
from trainwatch.runner.text import duration

RUNGS = ("step", "now", "kill")
REMIND_S = 10.0
SWEEP_S = 3.0


class Abort(Command):
    """`how` is "step" (finish the running step), "now" (SIGTERM) or "kill"."""

    name = "abort"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        how = arguments.get("how", "step")
        self.how = how if how in RUNGS else "step"
        self.acted = False
        self.asked_at = mono
        self.reminded = mono
        self.waiting: set[int] = set()
        self.stopped_at: int | None = None
        if self.how == "kill":
            self.acted = True
            count = kill_tree(self.access.child, signal.SIGKILL)
            self.progress(f"killed {count} processes (SIGKILL)")
        elif self.how == "now":
            self.acted = send_signal(self.access.child, signal.SIGTERM)
            self.progress("asked the command to end now (SIGTERM)")
        elif training_ranks(self.access):
            asked = request_all(self.access, {"request": "stop", "id": self.id})
            self.waiting = {process.pid for process in asked}
            step = max((process.step or 0) for process in asked) if asked else 0
            self.progress(f"finishing step {step + 1}, then stopping")
        else:
            self._interrupt("no step is running")

    def event(self, event: ev.Event) -> None:
        body = event.body
        if not isinstance(body, ev.RequestFinished) or body.id != self.id:
            return
        self.waiting.discard(event.pid)
        if body.outcome == "done":
            self.acted = True
            self.stopped_at = body.step
            self.progress(
                f"stopped after step {body.step}: waiting for the command to end"
            )
        elif not self.acted and not self.waiting:
            self._interrupt(body.detail or "the training loop did not take the stop")

    def tick(self, mono: float) -> None:
        if mono - self.reminded < REMIND_S:
            return
        self.reminded = mono
        waited = duration(mono - self.asked_at)
        if self.how == "now":
            self.progress(
                f"still running {waited} after SIGTERM: `abort --kill` ends it by force"
            )
        elif self.stopped_at is None:
            self.progress(
                f"waiting {waited} for the step to end: `abort --now` does not wait"
            )
        else:
            self.progress(
                f"stopped after step {self.stopped_at}, the command is still ending "
                f"after {waited}"
            )

    def child_ended(self, code: int | None) -> None:
        if not self.acted:
            self.finish("done", "the run ended by itself")
            return
        left = kill_tree(self.access.child, signal.SIGTERM)
        after = "" if self.stopped_at is None else f" after step {self.stopped_at}"
        how = {
            "step": f"stopped{after}",
            "now": "ended by SIGTERM",
            "kill": "killed",
        }[self.how]
        if left:
            how += f"; {left} processes it left behind were told to end"
        saved = [c for c in self.access.state.checkpoints.values() if c.complete]
        if saved:
            newest = max(saved, key=lambda c: c.seen)
            how += f"; last checkpoint: {os.path.basename(newest.path)}"
        self.finish("done", how)

    def _interrupt(self, reason: str) -> None:
        self.acted = interrupt(self.access)
        self.progress(f"{reason}: interrupted it (SIGINT)")


def kill_tree(child: int, number: int) -> int:
    """
    Signal every process of the child's session and tree, the leader first.

    Returns:
        How many were signalled.
    """
    pids = [child]
    try:
        pids += [p.pid for p in psutil.Process(child).children(recursive=True)]
    except psutil.Error:
        pass
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == child and pid not in pids:
                pids.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return sum(send_signal(pid, number) for pid in pids if pid != os.getpid())
