"""Processes below it that ended, or do nothing any more."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.text import duration

WAITS_FOR_OTHERS = ("child", "lock", "shared lock", "pipe", "poll", "timed poll")

IDLE_WAITS = ("lock", "shared lock", "pipe", "pipe full", "timed poll")
"""What workers without work are in."""


def hung_worker(sight: Sight) -> Cause | None:
    """A worker sleeps for longer than anybody means to, its parent waits."""
    own = sight.own
    if own is None or sight.idle < sight.idle_limit or own.wait not in WAITS_FOR_OTHERS:
        return None
    asleep = next(
        (s for s in sight.below if sight.is_worker(s) and sight.sleeps_for_ever(s)),
        None,
    )
    if asleep is None:
        return None
    return Cause(
        "stuck",
        "data" if sight.phase == "fetch" else "deadlock",
        "likely",
        (
            f"{sight.stopped_for()}, CPU 0",
            f"{sight.name(asleep)} sleeps for another "
            f"{duration(asleep.left_s)}; its parent waits for it",
        ),
        "look at the worker's stack; num_workers=0 (num_proc=1) shows the row",
    )


def dead_worker(sight: Sight) -> Cause | None:
    """A worker ended since the last progress and its parent still waits."""
    own = sight.own
    if own is None or sight.idle < sight.idle_limit or own.wait not in WAITS_FOR_OTHERS:
        return None
    if not own.ended or own.target.startswith(("tcp ", "socket:")):
        return None
    dead = [s for s in sight.below if s.status in ("Z", "X") and sight.is_worker(s)]
    alive = [s for s in sight.below if s.status not in ("Z", "X")]
    if any(s.wait not in IDLE_WAITS for s in alive):
        return None
    if _others(sight) - {"lock", "shared lock", "pipe", "poll", "timed lock"}:
        return None
    count = max(len(dead), own.ended)
    who = f"worker {dead[0].of} is dead" if dead else f"{count} worker ended"
    if count > 1:
        who = f"{count} workers ended"
    return Cause(
        "stuck",
        "deadlock",
        "likely",
        (
            f"{sight.stopped_for()}, CPU 0",
            f"{who} and its parent still waits ({own.call})",
        ),
        "look for what ended it (out of memory? /dev/shm full?); fewer workers",
    )


def _others(sight: Sight) -> set[str]:
    return set(sight.others(sight.own)) if sight.own else set()
