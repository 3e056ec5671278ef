"""
How far a long phase is: its counter, how fast it moves, how long it still takes.

Pure. The pace is that of the last MARKS movements, and it falls by itself while
nothing moves.
"""

from __future__ import annotations

from trainwatch.runner.state import PhaseNow
from trainwatch.runner.text import duration, size

MARKS = 12
UNITS = {"evaluate": "batches", "load": "tensors", "skip": "batches"}
"""What the rows of a phase are; rows elsewhere."""
LIVELY = 3.0
"""A counter that rests for so many times its usual pause slows the pace."""


def counter(phase: PhaseNow) -> int | None:
    """The number that moves while `phase` runs, None where nothing counts."""
    for value in (phase.bytes, phase.rows, phase.tokens):
        if value is not None:
            return value
    return None


def mark(before: PhaseNow, now: PhaseNow) -> tuple[tuple[float, int], ...]:
    """The marks of `now`, which was seen after `before`."""
    count = counter(now)
    if count is None:
        return ()
    marks = before.marks
    if (before.name, before.since) != (now.name, now.since):
        marks = ()
    if marks and marks[-1][1] == count:
        return marks
    return (*marks[-MARKS + 1 :], (now.seen, count))


def per_s(phase: PhaseNow, now: float) -> float | None:
    """How much the counter moves in a second; None before it has moved twice."""
    if len(phase.marks) < 2:
        return None
    (began, first), (ended, last) = phase.marks[0], phase.marks[-1]
    pause = (ended - began) / (len(phase.marks) - 1)
    if now - ended > LIVELY * pause:
        ended = now
    return (last - first) / (ended - began) if ended > began else None


def left_s(phase: PhaseNow, now: float) -> float | None:
    """
    Seconds until the counter is at its total, at this pace. A generation's total is
    its cap and not its end.
    """
    count, pace = counter(phase), per_s(phase, now)
    if count is None or not pace or pace < 0 or not phase.total:
        return None
    if phase.tokens is not None or count > phase.total:
        return None
    at = phase.marks[-1][0]
    return max(0.0, (phase.total - count) / pace - max(0.0, now - at))


def so_far(phase: PhaseNow) -> str:
    """ "12,000 of 48,000 rows", "1.2 GB of about 1.6 GB", "171 tokens", or ""."""
    if phase.bytes is not None:
        if not phase.total or (phase.total_by and phase.bytes > phase.total):
            return size(phase.bytes)
        about = "about " if phase.total_by else ""
        return f"{size(phase.bytes)} of {about}{size(phase.total)}"
    if phase.rows is not None:
        of = f" of {phase.total:,}" if phase.total else ""
        return f"{phase.rows:,}{of} {UNITS.get(phase.name, 'rows')}"
    if phase.tokens is not None:
        return f"{phase.tokens:,} tokens"
    return ""


def speed(phase: PhaseNow, now: float) -> str:
    """ "3,100 rows/s", "412 MB/s", or "" where it is not known."""
    pace = per_s(phase, now)
    if pace is None or pace < 0:
        return ""
    if phase.bytes is not None:
        return f"{size(pace)}/s"
    if phase.rows is not None:
        digits = 0 if pace >= 10 else 1
        return f"{pace:,.{digits}f} {UNITS.get(phase.name, 'rows')}/s"
    return ""


def words(phase: PhaseNow, now: float) -> list[str]:
    """What is known of how far `phase` is: counter, time left, speed."""
    left = left_s(phase, now)
    time_left = "" if left is None else f"{duration(left)} left"
    said = (so_far(phase), time_left, speed(phase, now))
    return [part for part in said if part]
