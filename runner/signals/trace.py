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
"""Percent of a core below which a process does nothing. Ours in it use about 0.1, and
more in a moment: a blip is not to undo what was seen for a minute."""
IDLE_BYTES = 32_768.0
"""Bytes a second below which it moves none; our own looks read some hundred."""


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
    if moves(rates(trace)) or (look.status == "D" and not _still(trace)):
        return replace(trace, idle_since=None)
    if trace.idle_since is None and len(trace.looks) > 1:
        return replace(trace, idle_since=trace.looks[0][0])
    return trace


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
