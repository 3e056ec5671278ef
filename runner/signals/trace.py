"""
The last looks at one process, and what they say together. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from trainwatch.runner.signals.look import Look

WINDOW_S = 4.0
"""Rates are over so many seconds, or what there is of them."""
IDLE_CPU = 3.0
"""Percent of a core below which a process does nothing. Ours in it use about 0.1."""
IDLE_BYTES = 32_768.0
"""Bytes a second below which it moves none; our own looks read some hundred."""
LONG_S = 8.0
"""Idle for so long, it is not called awake for one blip: on a full machine a page that
is read again, or a clock tick charged to whom it finds, looks like work."""
BLIPS_S = 60.0
"""A second blip within so long is none."""
WAKES = ("lock", "shared lock", "timed lock", "timed poll", "sleep")
"""Waits that a thread leaves for a moment and goes back to. One that leaves another
has got what it waited for."""


@dataclass(frozen=True)
class Rates:
    """Per second over the window; CPU in percent of one core. None: not measured."""

    cpu: float | None = None
    cpu_main: float | None = None
    queued: float | None = None
    """Of the main thread: percent of the time that it was ready and did not run."""
    switches: float | None = None
    major_faults: float | None = None
    read: float | None = None
    write: float | None = None


@dataclass(frozen=True)
class Trace:
    """Looks at one process with their monotonic times, oldest first."""

    looks: tuple[tuple[float, Look], ...] = ()
    idle_since: float | None = None
    """Monotonic time since which it neither computes nor moves bytes."""
    blip: float | None = None
    """Monotonic time of what it did since, where that was so short that it may be
    nothing."""

    @property
    def last(self) -> Look | None:
        return self.looks[-1][1] if self.looks else None


def add(trace: Trace, mono: float, look: Look) -> Trace:
    """`trace` with one more look."""
    if trace.last is not None and trace.last.started != look.started:
        trace = Trace()  # Another process by the same pid.
    kept = [entry for entry in trace.looks if mono - entry[0] <= WINDOW_S]
    if not kept and trace.looks:
        kept = [trace.looks[-1]] if mono - trace.looks[-1][0] <= 3 * WINDOW_S else []
    trace = replace(trace, looks=(*kept, (mono, look)))
    since = trace.idle_since
    long = since is not None and mono - since >= LONG_S
    paging = _mostly(trace, "D") if long else look.status == "D"
    if not moves(rates(trace)) and (not paging or _still(trace)):
        if since is None and len(trace.looks) > 1:
            return replace(trace, idle_since=trace.looks[0][0])
        return trace
    if trace.blip is not None and mono - trace.blip <= BLIPS_S:
        if mono - trace.blip <= WINDOW_S:
            return trace
    elif long:
        return replace(trace, blip=mono)
    return replace(trace, idle_since=None, blip=None)


def settled(trace: Trace) -> Look | None:
    """
    The last look; of a process that is idle, with the waits of the newest look that
    did not catch a thread of it awake, unless half of the looks do.
    """
    last = trace.last
    waits = [look for _, look in trace.looks if look.wait.what]
    asleep = [look for look in waits if not _awake(look)]
    if last is None or trace.idle_since is None or 2 * len(asleep) <= len(waits):
        return last
    kept = asleep[-1]
    if _main_awake(last) and kept.wait.what not in WAKES:
        return last
    return replace(last, status=kept.status, wait=kept.wait, threads=kept.threads)


def _awake(look: Look) -> bool:
    return _main_awake(look) or "running" in look.threads


def _main_awake(look: Look) -> bool:
    return look.wait.what == "running" or look.status == "D"


def _mostly(trace: Trace, status: str) -> bool:
    """In at least half of the looks."""
    found = [look for _, look in trace.looks if look.status == status]
    return 2 * len(found) >= len(trace.looks)


def _still(trace: Trace) -> bool:
    """In one and the same wait all the time."""
    waits = {(look.wait.call, look.wait.fd) for _, look in trace.looks}
    return len(waits) == 1


def moves(now: Rates) -> bool:
    """Does it compute, or move bytes?"""
    return (now.cpu or 0.0) + (now.queued or 0.0) / 5 >= IDLE_CPU or any(
        (rate or 0.0) >= IDLE_BYTES for rate in (now.read, now.write)
    )


def rates(trace: Trace) -> Rates:
    """How fast its counters grew over the looks that are kept."""
    if len(trace.looks) < 2:
        return Rates()
    (began, first), (ended, last) = trace.looks[0], trace.looks[-1]
    seconds = ended - began

    def per_s(of: Callable[[Look], float | None]) -> float | None:
        old, new = of(first), of(last)
        if old is None or new is None or seconds <= 0:
            return None
        return max(0.0, (new - old) / seconds)

    def percent(of: Callable[[Look], float | None]) -> float | None:
        rate = per_s(of)
        return None if rate is None else 100 * rate

    return Rates(
        cpu=percent(lambda look: look.cpu_s),
        cpu_main=percent(lambda look: look.cpu_main_s),
        queued=percent(lambda look: look.queued_s),
        switches=per_s(lambda look: look.switches),
        major_faults=per_s(lambda look: look.major_faults),
        read=per_s(lambda look: look.traffic.read if look.traffic else None),
        write=per_s(lambda look: look.traffic.written if look.traffic else None),
    )
