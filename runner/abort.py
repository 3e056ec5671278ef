"""
Ending a run, rung by rung: finish the step and save, stop now, terminate the tree,
kill.

Every open screen is told which rung this is on, what has been saved, and what is
waited for. A save that is under way is never broken by another press, only by a
kill: what would end the command waits for it. Nothing climbs to the next rung by
itself but where a grace period says when somebody else will kill the run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import ladder, progress, salvage
from trainwatch.runner.commands import (
    Command,
    interrupt,
    send_signal,
    training_ranks,
)
from trainwatch.runner.files import write_json
from trainwatch.runner.requests import Request
from trainwatch.runner.saves import under_way
from trainwatch.runner.snapshot import describe, document, spare_folder
from trainwatch.runner.state import Process
from trainwatch.runner.survivors import Tree
from trainwatch.runner.text import duration, whole
from trainwatch.runner.verification import Verification

REMIND_S = 10.0
SAVING_S = 1.0
"""How often is said how far a save is."""
LEADER_S = 1.0
"""How long the command itself is asked before its tree is."""
VERIFY_S = 20.0
"""After the command's end: how long its last checkpoint may be read."""
BESIDE_STEPS = ("evaluate", "generate", "prefill", "decode", "compile", "skip", "log")
SENT = {"now": "SIGTERM", "tree": "SIGTERM", "kill": "SIGKILL"}


class Abort(Command):
    """
    `how` is a rung: "step", "now", "tree" or "kill". `grace` is in how many seconds
    the run must have ended: then the rungs follow by themselves.
    """

    name = "abort"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        how = arguments.get("how", "step")
        self.rung = how if how in ladder.RUNGS else "step"
        grace = arguments.get("grace")
        self.grace = float(grace) if isinstance(grace, (int, float)) else None
        self.acted = False
        self.asked_at = self.told_at = self.mono = mono
        self.told = ""
        self.request: Request | None = None
        self.stopped_at: int | None = None
        self.check: Verification | None = None
        self.unsaved = ""
        """Why nothing was saved on the first rung."""
        self.held = ""
        """What is done once a save is over: a rung, or `interrupt`."""
        self.rest_at: float | None = None
        """When the rest of the tree is asked, after the command."""
        self.tree = Tree(self.access.child, self.access.state.run.keeper)
        self.tree.look(mono)
        self.follows = self.rung == "step" and bool(self._others())
        if self.follows:
            self._tell(mono)
        else:
            self._stand(mono)

    # --- the rungs ---

    def _stand(self, mono: float) -> None:
        """Do what this rung is about."""
        if self.rung == "step":
            self._finish_step(mono)
        elif self.rung != "kill" and self._saving():
            self.held = self.rung
        elif self.rung == "kill":
            self.acted = self.tree.signal(signal.SIGKILL) > 0 or self.acted
        else:
            self.acted = self.tree.stop(signal.SIGTERM) or self.acted
            self.rest_at = mono + LEADER_S if self.rung == "tree" else None
        self._tell(mono, always=True)

    def _finish_step(self, mono: float) -> None:
        ranks = training_ranks(self.access)
        if not ranks:
            self._interrupt("no step is running")
            return
        saves = all(p.training is not None and p.training.can_save for p in ranks)
        folder = str(spare_folder(self.access.folder) / "checkpoint")
        self.request = Request(
            self.access, "finish" if saves else "stop", self.id, folder
        )
        if not saves:
            self.unsaved = "this training loop offers nothing to save"
        if self.request.refusal:
            self._refused()

    def _refused(self) -> None:
        assert self.request is not None
        reason, self.request = self.request.detail, None
        self._interrupt(reason or "the training loop did not take the stop")

    def _interrupt(self, reason: str) -> None:
        self.unsaved = reason
        if self._saving():
            self.held = "interrupt"
            return
        self.held = ""
        self.acted = interrupt(self.access) or self.acted

    def _let_go(self, mono: float) -> None:
        """A save is over: do what had waited for it."""
        held, self.held = self.held, ""
        if held == "interrupt":
            self._interrupt(self.unsaved)
            self._tell(mono, always=True)
        else:
            self._stand(mono)

    # --- what comes in ---

    def event(self, event: ev.Event) -> None:
        if self.request is not None:
            self.request.event(event)
            self._look_at_request()

    def _look_at_request(self) -> None:
        request = self.request
        if request is None or not request.settled:
            return
        mono = self.mono
        if self.stopped_at is not None:
            return
        stopped = [a for a in request.answers.values() if a.outcome != "refused"]
        if not stopped:
            self._refused()
            self._tell(mono, always=True)
            return
        self.acted = True
        self.stopped_at = max(a.step or 0 for a in stopped)
        path = next((a.path for a in request.done if a.path), "")
        if path:
            self.check = Verification(Path(path))
        else:
            self.unsaved = self.unsaved or request.detail
        self._tell(mono, always=True)

    def tick(self, mono: float) -> None:
        self.mono = mono
        self.tree.look(mono)
        if self.request is not None:
            self.request.tick()
            self._look_at_request()
        saving = bool(self._saving())
        if self.held and not saving:
            self._let_go(mono)
        if self.rest_at is not None and mono >= self.rest_at:
            self.rest_at = None
            for pid in self.tree.members()[1:]:
                send_signal(pid, signal.SIGTERM)
        if self.grace is not None:
            rung = ladder.due(mono - self.asked_at, self.grace, self.rung, saving)
            if rung != self.rung:
                self.rung, self.held, self.request = rung, "", None
                self.follows = False
                self._stand(mono)
        every = SAVING_S if saving else REMIND_S
        if mono - self.told_at >= every:
            self._tell(mono)

    def child_ended(self, code: int | None) -> None:
        if self.follows:
            self.finish("done", "ended by the abort before it")
            return
        if not self.acted and self._overtaken():
            self.finish("done", "ended by a later abort")
            return
        if not self.acted:
            self.finish("done", "the run ended by itself")
            return
        path = self._verify()
        parts = [self._how()]
        if path:
            found = self.access.state.checkpoints[path]
            parts.append(describe({path: found})[1])
        elif self.access.state.lead is not None:
            parts.append(f"stopped unsaved: {self._lost()}")
        parts.append(self._left_behind())
        detail = "; ".join(part for part in parts if part)
        if path and Path(path).is_relative_to(self.access.folder):
            self._keep(path, detail)
        self.finish("done", detail, path)

    def _keep(self, path: str, detail: str) -> None:
        """The manifest beside a rescue checkpoint, as a snapshot has it."""
        found = self.access.state.checkpoints[path]
        kept = document(self.stopped_at, {path: found}, "done", detail)
        write_json(Path(path).parents[1] / "manifest.json", kept)

    def _saving(self) -> list[Process]:
        return under_way(self.access.state, self.access.flights)

    def _lost(self) -> str:
        text = salvage.unsaved(self.access.state, time.time())
        why = self.unsaved if self.request is not None else ""
        return f"{text} ({why})" if why else text

    def _how(self) -> str:
        if self.stopped_at is not None:
            return f"stopped after step {self.stopped_at:,}"
        if self.rung == "kill":
            return "killed"
        return f"ended by {SENT.get(self.rung, 'SIGINT')}"

    def _verify(self) -> str:
        """The path of the checkpoint that was saved, once it was looked at."""
        if self.check is None:
            return ""
        found = self.check.found(VERIFY_S) or self.check.so_far()
        self.access.emit(found)
        return str(self.check.path)

    def _left_behind(self) -> str:
        count, killed, alive = self.tree.end()
        if not count:
            return ""
        many = "1 process" if count == 1 else f"{count} processes"
        text = f"{many} it left behind {'was' if count == 1 else 'were'} ended"
        if killed:
            text += f", {killed} by SIGKILL"
        if alive:
            text += f"; {', '.join(map(str, alive))} cannot be killed"
        return text

    # --- what is said ---

    def _tell(self, mono: float, always: bool = False) -> None:
        text = f"{ladder.place(self.rung)}: {self._doing(mono)}"
        if self.grace is not None and self.rung != "kill":
            left = max(0.0, self.grace - (mono - self.asked_at))
            text += f"; {whole(left)} of grace left"
        self.told_at = mono
        if text == self.told and not always:
            return
        self.told = text
        saved = str(self.check.path) if self.check is not None else ""
        self.access.emit(ev.CommandProgressed(self.id, text, self.rung, saved))
        self._answer(None, text)

    def _doing(self, mono: float) -> str:
        waited = whole(mono - self.asked_at)
        saving = self._saving()
        if saving and self.rung != "kill":
            then = {"": "", "interrupt": ", then it is interrupted"}.get(
                self.held, ", then it is asked to end"
            )
            return (
                f"{how_far(saving[0])}{then}; another abort waits for it, only kill "
                "does not"
            )
        if self.rung == "kill":
            return f"SIGKILL to all its processes{_after(mono - self.asked_at)}"
        if self.rung in SENT:
            whom = "the command" if self.rung == "now" else "it and all it started"
            return (
                f"asked {whom} to end ({SENT[self.rung]})"
                f"{_after(mono - self.asked_at)}{self._next()}"
            )
        if self.follows:
            others = self._others() or ["step"]
            return f"an abort is under way already ({ladder.place(others[-1])})"
        if self.stopped_at is not None:
            saved = f"saved {self.check.path.name}" if self.check else self.unsaved
            torn = self.request is not None and self.request.torn
            return (
                f"stopped after step {self.stopped_at:,}, {saved or 'nothing saved'}"
                f"{', but not on every rank' if torn else ''}; waiting for the command "
                f"to end, {waited} so far{self._next()}"
            )
        if self.request is None:
            return (
                f"{self.unsaved}: interrupted it (SIGINT)"
                f"{_after(mono - self.asked_at)}{self._next()}"
            )
        return f"{self._step()}{_after(mono - self.asked_at)}{self._next()}"

    def _step(self) -> str:
        """Which step it waits for, and how long one usually takes."""
        assert self.request is not None
        lead = max(self.request.asked, key=lambda process: process.step or 0)
        lead = self.access.state.processes.get(lead.pid, lead)
        step = self.request.step or (lead.step or 0) + 1
        usual = sorted(lead.steps.recent)
        time_of = f" (usually {duration(usual[len(usual) // 2])})" if usual else ""
        then = "saving" if self.request.kind == "finish" else "stopping"
        inside = lead.phase.name
        if inside in BESIDE_STEPS:
            words = progress.words(lead.phase, time.time())
            inside = ", ".join((f"it is in {inside}", *words))
            time_of = f" ({inside})"
        return f"waiting for the end of step {step:,}{time_of}, then {then}"

    def _next(self) -> str:
        """What to do where this rung does not help."""
        if self.grace is not None:
            place = ladder.RUNGS.index(self.rung) + 1
            rung = ladder.RUNGS[place]
            wait = ladder.until(self.grace, rung) - (self.mono - self.asked_at)
            return f"; {ladder.WORDS[rung]} in {whole(wait)}"
        rung = ladder.RUNGS[ladder.RUNGS.index(self.rung) + 1]
        return f"; `abort --{rung}` does not wait"

    def _others(self) -> list[str]:
        """The rungs of other aborts that are under way."""
        return [
            command.rung
            for command in self.access.state.commands
            if command.command == "abort" and command.outcome is None
            if command.id != self.id and command.rung in ladder.RUNGS
        ]

    def _overtaken(self) -> bool:
        place = ladder.RUNGS.index
        return any(place(rung) > place(self.rung) for rung in self._others())


def _after(waited: float) -> str:
    return f", {whole(waited)} ago" if waited >= 1 else ""


def how_far(process: Process) -> str:
    """ "saving checkpoint-8, 1.2 of about 3.4 MB, 2 s left"."""
    phase = process.phase
    if phase.name != "save":
        return "saving"
    what = f"saving {phase.detail}".strip()
    return ", ".join((what, *progress.words(phase, time.time())))
