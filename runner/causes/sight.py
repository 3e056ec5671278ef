"""
What is known at one moment about the process whose progress counts. Pure.

Signals count only where they are newer than the last progress and fresh: a
supervisor that is gone tells none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainwatch.runner import usual
from trainwatch.runner.state import Process, RunState, Signals, Trainable
from trainwatch.runner.text import duration

FRESH_S = 30.0
"""Signals are told again every ten seconds."""
QUIET_S = 30.0
"""Without progress for this long, and for QUIET_FACTOR times the phase's slowest
usual duration, "working" is no longer said."""
QUIET_FACTOR = 5.0
UNKNOWN_S = 120.0
"""The same where nothing is known of the phase."""
DEADLOCK_S = 8.0
"""Idle for at least so long before anything is called stuck."""
LONG_SLEEP_S = 6 * 3600.0
"""No program that means to go on sleeps so long at once."""

WORKERS = ("pt_data_worker", "pt_data_pin")
HOST_DEVICES = ("cpu", "meta", "")
NO_MODEL = Trainable()
HOST_PHASES = ("import", "download", "data", "skip", "fetch", "upload", "end")
"""In all others a program may wait for its device."""


@dataclass(frozen=True)
class Sight:
    state: RunState
    now: float
    process: Process | None
    """None where no probe is in it."""
    own: Signals | None
    """Its signals."""
    below: tuple[Signals, ...]
    """Those of the processes below it that were told."""
    progressed: float
    quiet: float
    """Seconds without progress."""

    @property
    def idle(self) -> float:
        """Seconds in which neither it nor what is below it did anything."""
        if self.own is None or self.own.idle_since is None:
            return 0.0
        return max(0.0, self.now - max(self.own.idle_since, self.progressed))

    @property
    def all(self) -> tuple[Signals, ...]:
        return (self.own, *self.below) if self.own is not None else ()

    @property
    def phase(self) -> str:
        return self.process.phase.name if self.process else "start"

    @property
    def patience(self) -> float:
        """Seconds without progress after which "working" is no longer said."""
        slowest = self.slowest
        if slowest is None:
            return UNKNOWN_S
        return max(QUIET_S, QUIET_FACTOR * slowest)

    @property
    def slowest(self) -> float | None:
        """The slowest usual duration of the phase it is in."""
        if self.process is None:
            return None
        return usual.slowest(self.state, self.process, self.phase)

    @property
    def idle_limit(self) -> float:
        """Seconds of idleness that this phase may have and be well."""
        return max(DEADLOCK_S, 3 * (self.slowest or 0.0))

    @property
    def on_device(self) -> bool:
        """
        It may wait for a device: its thread then sleeps or spins for as long as that
        takes, with no CPU and no byte, which looks like a lock from outside.
        """
        process = self.process
        if self.phase in HOST_PHASES:
            return False
        if self.own is not None and self.own.device:
            return True
        if process is None:
            return False
        devices = {process.memory.device, *(process.trainable or NO_MODEL).devices}
        return any(name.partition(":")[0] not in HOST_DEVICES for name in devices)

    def prints(self, within: float) -> bool:
        """It wrote something not long ago: a sign of life where nothing counts."""
        printed = self.own.printed if self.own else None
        return printed is not None and self.now - printed < within

    def stopped_for(self) -> str:
        """ "no progress for 6 min in fetch" """
        return f"no progress for {duration(self.quiet)} in {self.phase}"

    def name(self, signals: Signals) -> str:
        """What a person calls that process."""
        known = self.state.processes.get(signals.of)
        if known is not None and known.role == "rank" and known.rank is not None:
            return f"rank {known.rank}"
        if self.own is not None and signals.of == self.own.of:
            return "the process" if known is None else "the program"
        own = self.own
        forked = known is None and own is not None and signals.parent == own.of
        if own is not None and forked and self.is_worker(signals):
            return f"worker {signals.of}"
        return f"{signals.name or 'process'} {signals.of}"

    def others(self, signals: Signals) -> dict[str, int]:
        """What its threads wait for, our own thread left out."""
        found = dict(signals.threads)
        known = self.state.processes.get(signals.of)
        if known is not None and known.armed and found.get("timed poll"):
            found["timed poll"] -= 1
        if self.own is not None and signals.of != self.own.of:
            # In a worker, one that waits for somebody to connect lets nobody go.
            found.pop("accept", None)
        return {wait: count for wait, count in found.items() if count}

    def is_worker(self, signals: Signals) -> bool:
        """It goes by the name of a worker of the process, so it was made to share
        its work."""
        own = self.own
        return own is not None and signals.name in (own.name, *WORKERS)

    def sleeps_for_ever(self, signals: Signals) -> bool:
        return signals.wait == "sleep" and (signals.left_s or 0.0) > LONG_SLEEP_S


def sights(state: RunState, now: float) -> Sight:
    """The sight of the lead process, or of the command where it is gone."""
    lead = state.lead
    alive = lead is not None and lead.armed and lead.left is None
    process = lead if alive else None
    started = state.run.started or now
    progressed = (process.progressed if process else None) or started
    pid = process.pid if process else state.run.child or 0
    own = fresh(state, pid, progressed, now)
    if own is None and process is not None and state.run.child is not None:
        own = fresh(state, state.run.child, progressed, now)
    below = tuple(_below(state, own)) if own is not None else ()
    return Sight(
        state, now, process, own, below, progressed, max(0.0, now - progressed)
    )


def fresh(state: RunState, pid: int, progressed: float, now: float) -> Signals | None:
    signals = state.signals.get(pid)
    if signals is None or now - signals.seen > FRESH_S or signals.seen <= progressed:
        return None
    return signals


def _below(state: RunState, own: Signals) -> Iterator[Signals]:
    for pid in own.children:
        signals = state.signals.get(pid)
        if signals is not None:
            yield signals
