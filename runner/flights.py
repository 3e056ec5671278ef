"""
Flight records, looked at ten times a second.

What is seen becomes an event only when a person would see it: a phase that has
lasted half a second, a counter once a second while a long phase runs, memory
when it moved. So a log of fast steps holds no more than its steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner.phases import in_step, shown
from trainwatch.runner.saves import UNKNOWN, Saving
from trainwatch.runner.state import RunState

LONG_S = 0.5
COUNTER_S = 1.0
MEMORY_S = 1.0
MOVED = 0.01
"""Share by which memory must have moved to be told again."""
MOVED_BYTES = 1 << 20


@dataclass(frozen=True)
class Seen:
    """What was last told about one process."""

    reading: flight.Reading | None = None
    told: ev.PhaseObserved | None = None
    told_at: float = 0.0
    memory: ev.MemorySampled | None = None
    memory_at: float = 0.0


def observe(
    seen: Seen, reading: flight.Reading, mono: float, saving: Saving = UNKNOWN
) -> tuple[Seen, ev.PhaseObserved | None]:
    """What to tell of `reading`, taken at `mono`, after `seen`."""
    body = _observed(reading, saving)
    told = seen.told
    if told is None:
        tell = True
    elif (body.phase, body.since) != (told.phase, told.since):
        long = mono - reading.since >= LONG_S
        # The long phase that was told is over and only short ones follow.
        stale = told.phase != "step" and mono - seen.told_at >= LONG_S
        tell = long or stale
        training = body.step is not None
        if tell and not long and training and in_step(body.phase, body.step):
            body = replace(body, phase="step", detail="", tokens=None)
            tell = told.phase != "step"
    else:
        tell = body != told and mono - seen.told_at >= COUNTER_S
    if not tell:
        return replace(seen, reading=reading), None
    return replace(seen, reading=reading, told=body, told_at=mono), body


def _observed(reading: flight.Reading, saving: Saving = UNKNOWN) -> ev.PhaseObserved:
    body = ev.PhaseObserved(
        of=reading.pid,
        phase=reading.phase,
        since=round(reading.since + reading.wall_minus_mono, 3),
        step=reading.step,
        micro_step=reading.micro_step,
        tokens=reading.tokens,
        bytes=reading.bytes,
        rows=reading.rows,
        total=reading.total,
        detail=reading.detail,
    )
    if reading.phase != "save":
        return body
    body = replace(body, detail=Path(reading.detail).name, bytes=saving.written)
    if saving.expected is None:
        return body
    return replace(body, total=saving.expected.bytes, total_by=saving.expected.by)


def sample_memory(
    seen: Seen, reading: flight.Reading, facts: ev.MemorySampled, mono: float
) -> tuple[Seen, ev.MemorySampled | None]:
    """The memory to tell, with the device and the limits of `facts`."""
    if reading.memory_at is None or mono - seen.memory_at < MEMORY_S:
        return seen, None
    body = replace(
        facts,
        allocated=reading.allocated,
        reserved=reading.reserved,
        peak=reading.peak,
        rss=reading.rss,
        phase=shown(reading.phase, reading.detail)[0],
    )
    before = seen.memory
    pairs = (
        [("allocated", None, 0)]
        if before is None
        else [
            (name, getattr(before, name), getattr(body, name))
            for name in ("allocated", "reserved", "peak", "rss")
        ]
    )
    if not any(_moved(old, new) for _, old, new in pairs):
        return seen, None
    return replace(seen, memory=body, memory_at=mono), body


def _moved(before: int | None, now: int | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) > max(MOVED_BYTES, MOVED * before)


class Flights:
    """
    The records of a run's processes.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "flight"
        self._files: dict[int, int] = {}
        self._seen: dict[int, Seen] = {}
        self._facts: dict[int, ev.MemorySampled] = {}

    def facts(self, pid: int, body: ev.MemorySampled) -> None:
        """Device and limits, as the process itself told them."""
        self._facts[pid] = body

    def reading(self, pid: int) -> flight.Reading | None:
        """The record of `pid` now; None without one, or while it is written."""
        if pid not in self._files:
            try:
                self._files[pid] = os.open(self.folder / str(pid), os.O_RDONLY)
            except OSError:
                return None
        data = os.pread(self._files[pid], flight.SIZE, 0)
        reading = flight.read(data)
        if reading is None or reading.pid != pid:
            return None
        return reading

    def beat(self, pid: int) -> float | None:
        """Wall clock when the interpreter of `pid` last ran our thread."""
        reading = self.reading(pid)
        if reading is None or reading.beat is None:
            return None
        return reading.beat + reading.wall_minus_mono

    def history(self, pid: int) -> list[tuple[str, float]]:
        try:
            return flight.history((self.folder / str(pid)).read_bytes())
        except OSError:
            return []

    def sample(
        self,
        pid: int,
        mono: float,
        saving: Callable[[flight.Reading], Saving] = lambda reading: UNKNOWN,
    ) -> list[ev.PhaseObserved | ev.MemorySampled]:
        """
        What is worth telling about process `pid` at monotonic time `mono`; `saving`
        says how far a save is.
        """
        reading = self.reading(pid)
        if reading is None:
            return []
        how_far = saving(reading) if reading.phase == "save" else UNKNOWN
        seen, observed = observe(self._seen.get(pid, Seen()), reading, mono, how_far)
        facts = self._facts.get(pid, ev.MemorySampled())
        self._seen[pid], memory = sample_memory(seen, reading, facts, mono)
        return [body for body in (observed, memory) if body is not None]

    def last(self, pid: int) -> ev.PhaseObserved | None:
        """The phase that the record of `pid` stands in, None without a record."""
        reading = self.reading(pid)
        return None if reading is None else _observed(reading)

    def left(
        self, pid: int, reason: str, heard: int
    ) -> list[ev.PhaseObserved | ev.ProcessLeft]:
        """
        What to tell of `pid`, which ended without a goodbye: the phase it ended in,
        however short that was, and how much it wanted to tell after event `heard`.
        """
        reading = self.reading(pid)
        self.forget(pid)
        if reading is None:
            return [ev.ProcessLeft(reason)]
        lost = max(0, reading.said - heard)
        return [_observed(reading), ev.ProcessLeft(reason, lost)]

    def unended(self, state: RunState) -> list[int]:
        """The processes whose end nobody saw, and those that had something to tell
        while nobody listened: they have no more than a record."""
        known = [p.pid for p in state.processes.values() if p.left is None]
        records = [int(p.name) for p in self.folder.glob("*") if p.name.isdigit()]
        unknown = [pid for pid in sorted(records) if pid not in state.processes]
        return known + [pid for pid in unknown if self._said(pid)]

    def _said(self, pid: int) -> int:
        reading = self.reading(pid)
        return reading.said if reading is not None else 0

    def forget(self, pid: int) -> None:
        descriptor = self._files.pop(pid, None)
        if descriptor is not None:
            os.close(descriptor)
