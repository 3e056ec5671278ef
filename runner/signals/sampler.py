"""
The signals of a run, looked at once a second.

While the run shows progress only counters are read, one file a process. Without
progress every process is looked at, and what a person would see becomes an event.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from trainwatch.probes import events as ev
from trainwatch.runner.console import clean
from trainwatch.runner.files import complain
from trainwatch.runner.signals import family
from trainwatch.runner.signals.files import accelerator, growing, open_for_writing
from trainwatch.runner.signals.lockfiles import BUILD, awaited
from trainwatch.runner.signals.locks import holder
from trainwatch.runner.signals.look import Look, glance, look, portable
from trainwatch.runner.signals.pipes import other_end
from trainwatch.runner.signals.pressure import stalled
from trainwatch.runner.signals.proc import PROC, Proc
from trainwatch.runner.signals.telling import first, worth_telling
from trainwatch.runner.signals.trace import IDLE_BYTES, Trace, add, rates, settled
from trainwatch.runner.signals.waits import Wait, polls
from trainwatch.runner.state import RunState

QUIET_S = 2.0
"""Without progress for so long, everything is looked at."""
MOST = 128
"""Processes of one run that are looked at."""
PROMPT = 200
"""Characters of a prompt that are kept."""


class Sampler:
    """
    Args:
        root: where /proc is; None where the system has none.
    """

    def __init__(self, root: Path | None = None) -> None:
        if root is None and sys.platform == "linux":
            root = PROC
        self._proc = None if root is None else Proc(root)
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._traces: dict[int, Trace] = {}
        self._told: dict[int, tuple[float, ev.SignalsSampled]] = {}
        self._workers: dict[int, set[int]] = {}
        """Subject -> workers seen below it since it last showed progress."""
        self._commands: dict[int, str] = {}
        self._devices: dict[int, str] = {}
        self._files: dict[int, tuple[float, dict[str, int]]] = {}
        self._ends: dict[int, tuple[str, int | None]] = {}
        """Process -> the pipe or lock that it waits for, and who has its other end."""
        self._broken = False
        self._line = ""
        self._built = ""
        """The folder of builds that the output has named."""
        self._printed: float | None = None

    def hear(self, text: str, wall: float) -> None:
        """Output of the run, as it comes."""
        self._printed = wall
        if "PyTorch extensions root" in text and (found := BUILD.search(text)):
            self._built = found[1]
        self._line = (self._line + text).rpartition("\n")[2][-20 * PROMPT :]

    def sample(
        self,
        mono: float,
        wall: float,
        state: RunState,
        child: int,
        tree: Sequence[psutil.Process],
        beat: Callable[[int], float | None] = lambda pid: None,
    ) -> list[ev.SignalsSampled]:
        """
        One look, and what of it is worth telling. A kernel that says what nobody
        foresaw ends the sampling, not the supervisor.

        Args:
            child: the command.
            tree: it and all processes below it.
            beat: wall clock of the last sign of life of a process's interpreter.
        """
        if self._broken:
            return []
        try:
            return self._sample(mono, wall, state, child, tree, beat)
        except Exception:
            self._broken = True
            complain(f"signals are not sampled any more: {traceback.format_exc()}")
            return []

    def _sample(
        self,
        mono: float,
        wall: float,
        state: RunState,
        child: int,
        tree: Sequence[psutil.Process],
        beat: Callable[[int], float | None],
    ) -> list[ev.SignalsSampled]:
        looks = self._looks(tree)
        for pid in self._traces.keys() - looks.keys():
            self._forget(pid)
        told: list[ev.SignalsSampled] = []
        for subject in family.subjects(state, child, looks):
            under = family.below(subject, looks)
            if not _quiet(state, subject, wall):
                self._trace(subject, mono, looks[subject])
                self._workers[subject] = self._workers_of(subject, under, looks)
                continue
            for pid in (subject, *under):
                found = self._full(pid, looks[pid], looks)
                if found is not None:
                    looks[pid] = found
                    self._trace(pid, mono, found)
            ended = self._ended(subject, under, looks)
            offset = wall - mono
            bodies = [self._body(pid, offset, looks[pid]) for pid in under]
            body = replace(
                self._body(subject, offset, looks[subject]),
                idle_since=self._idle_since((subject, *under), offset),
                children=under,
                names=family.names(under, looks),
                device=self._device(subject),
                ended=ended,
                printed=self._printed,
                beat=beat(subject),
                stalled=None if self._proc is None else stalled(self._proc),
            )
            told += self._worth(mono, [self._grown(mono, body)], True)
            told += self._worth(mono, first(bodies), False)
        return told

    # --- looking ---

    def _looks(self, tree: Sequence[psutil.Process]) -> dict[int, Look]:
        found: dict[int, Look] = {}
        for process in tree[:MOST]:
            seen = (
                portable(process)
                if self._proc is None
                else glance(self._proc, process.pid, self._tick_s)
            )
            if seen is not None:
                found[process.pid] = seen
        return found

    def _full(self, pid: int, seen: Look, all_: Mapping[int, Look]) -> Look | None:
        if self._proc is None:
            return seen
        found = look(self._proc, pid, self._tick_s)
        last = self._traces.get(pid, Trace()).last
        asked = last is not None and last.wait.what == "file lock"
        if found is None or not (polls(found.wait) or asked):
            return found
        if asked and found.wait.what not in ("running", "sleep", "file lock"):
            return found
        lock = awaited(self._proc, pid, set(all_), self._built)
        if lock is None:
            return found
        wait = Wait("file lock", found.wait.call, None, lock[0])
        self._ends[pid] = lock
        return replace(found, wait=wait)

    def _trace(self, pid: int, mono: float, seen: Look) -> None:
        self._traces[pid] = add(self._traces.get(pid, Trace()), mono, seen)

    def _forget(self, pid: int) -> None:
        self._traces.pop(pid, None)
        self._told.pop(pid, None)
        self._workers.pop(pid, None)
        self._files.pop(pid, None)
        self._ends.pop(pid, None)
        self._commands.pop(pid, None)
        self._devices.pop(pid, None)

    # --- what the looks say together ---

    def _idle_since(self, pids: Sequence[int], offset: float) -> float | None:
        """Wall clock since which none of `pids` does anything, None while one does."""
        since = 0.0
        for pid in pids:
            trace = self._traces.get(pid, Trace())
            if trace.last is not None and trace.last.status == "Z":
                continue
            if trace.idle_since is None:
                return None
            since = max(since, trace.idle_since)
        return round(since + offset, 3)

    def _workers_of(
        self, subject: int, under: Sequence[int], looks: dict[int, Look]
    ) -> set[int]:
        return {
            pid
            for pid in under
            if looks[pid].status != "Z"
            and family.is_worker(looks[pid], self._command(pid), self._command(subject))
        }

    def _command(self, pid: int) -> str:
        """Its command line. It may change with `exec`, which is soon after a fork."""
        trace = self._traces.get(pid, Trace())
        if pid not in self._commands or len(trace.looks) < 2:
            text = self._proc.text(pid, "cmdline") if self._proc else None
            self._commands[pid] = text or ""
        return self._commands[pid]

    def _ended(self, subject: int, under: Sequence[int], looks: dict[int, Look]) -> int:
        seen = self._workers.setdefault(subject, set())
        seen |= self._workers_of(subject, under, looks)
        return sum(pid not in looks or looks[pid].status == "Z" for pid in seen)

    def _body(self, pid: int, offset: float, seen: Look) -> ev.SignalsSampled:
        trace = self._traces.get(pid, Trace())
        now = rates(trace)
        seen = settled(trace) or seen
        wait = seen.wait
        keyboard = wait.what == "keyboard"
        other = self._holder(pid, seen)
        idle = trace.idle_since
        return ev.SignalsSampled(
            of=pid,
            parent=seen.parent,
            name=seen.name,
            status=seen.status,
            wait=wait.what,
            call=wait.call,
            target=wait.target,
            left_s=_rounded(wait.left_s),
            holder=other,
            holder_name=self._name(other),
            threads=seen.threads,
            idle_since=None if idle is None else round(idle + offset, 3),
            prompt=clean(self._line)[-PROMPT:] if keyboard else "",
            cpu=_rounded(now.cpu),
            cpu_main=_rounded(now.cpu_main),
            queued=_rounded(now.queued),
            switches=_rounded(now.switches),
            major_faults=_rounded(now.major_faults),
            read=_rounded(now.read),
            write=_rounded(now.write),
        )

    def _device(self, pid: int) -> str:
        """The accelerator that it has open; once it has, that is not asked again."""
        if self._proc is not None and not self._devices.get(pid):
            self._devices[pid] = accelerator(self._proc, pid)
        return self._devices.get(pid, "")

    def _holder(self, pid: int, seen: Look) -> int | None:
        if self._proc is None:
            return None
        wait = seen.wait
        known = self._ends.get(pid)
        if known is not None and known[0] == wait.target:
            return known[1]
        if wait.what == "file lock":
            return holder(self._proc, wait.target, pid)
        if wait.what not in ("pipe full", "pipe"):
            return None
        self._ends[pid] = known = (wait.target, other_end(self._proc, pid, wait.target))
        return known[1]

    def _name(self, pid: int | None) -> str:
        if pid is None or self._proc is None:
            return ""
        stat = self._proc.stat(pid)
        return stat.name if stat else ""

    def _grown(self, mono: float, body: ev.SignalsSampled) -> ev.SignalsSampled:
        """`body` with the file that grows fastest, if it writes at all."""
        if self._proc is None or (body.write or 0.0) < IDLE_BYTES:
            self._files.pop(body.of, None)
            return body
        now = open_for_writing(self._proc, body.of)
        when, before = self._files.get(body.of, (mono, {}))
        self._files[body.of] = (mono, now)
        found = growing(before, now, mono - when)
        if found is None:
            return body
        return replace(body, writing=found[0], writing_per_s=round(found[1]))

    def _worth(
        self, mono: float, bodies: Sequence[ev.SignalsSampled], counts: bool
    ) -> list[ev.SignalsSampled]:
        told = []
        for body in bodies:
            when, before = self._told.get(body.of, (0.0, None))
            if worth_telling(before, body, mono - when, counts):
                self._told[body.of] = (mono, body)
                told.append(body)
        return told


def _quiet(state: RunState, pid: int, wall: float) -> bool:
    process = state.processes.get(pid)
    progressed = process.progressed if process else None
    return progressed is None or wall - progressed >= QUIET_S


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
