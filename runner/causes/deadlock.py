"""Everybody waits for somebody, and nobody is left to let go."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Signals

FOR_EVER = {"lock"}
EACH_OTHER = {"lock", "shared lock", "pipe", "child"}


def deadlock(sight: Sight) -> Cause | None:
    """
    All threads of one process wait for locks of that process without a time limit:
    none of them can let go. Or for one shared with processes that are all gone.
    """
    if sight.idle < sight.idle_limit or len(sight.state.ranks) > 1:
        return None
    for signals in sight.all:
        why = _for_ever(sight, signals)
        if why:
            return Cause(
                "stuck",
                "deadlock",
                "likely",
                (f"{sight.stopped_for()}, CPU 0", why),
                "num_proc=1, TOKENIZERS_PARALLELISM=false"
                if "fork" in why
                else "t shows where each thread waits",
            )
    return _closed(sight)


def _closed(sight: Sight) -> Cause | None:
    """
    Every thread of every process waits, without a time limit, for another of them.
    """
    own = sight.own
    alive = [s for s in sight.all if s.status not in ("Z", "X")]
    if own is None or len(alive) < 2 or len(sight.below) < len(own.children):
        return None
    inside = {s.of for s in alive}
    for signals in alive:
        if {signals.wait, *sight.others(signals)} - EACH_OTHER:
            return None
        outside = signals.holder is not None and signals.holder not in inside
        if signals.wait == "pipe" and outside:
            return None
    return Cause(
        "stuck",
        "deadlock",
        "likely",
        (
            f"{sight.stopped_for()}, CPU 0, {len(alive) - 1} workers idle",
            f"all {len(alive)} processes wait for each other, none with a time limit: "
            "a worker that ended with its task leaves it so",
        ),
        "look for what ended a worker; num_proc=1 shows the row",
    )


def _for_ever(sight: Sight, signals: Signals) -> str:
    """Why `signals` can never go on, "" where it may."""
    threads = sight.others(signals)
    name = sight.name(signals)
    below = sight.own is not None and signals.of != sight.own.of
    if signals.wait == "lock" and not set(threads) - FOR_EVER:
        count = 1 + sum(threads.values())
        if below and count == 1 and signals.of not in sight.state.processes:
            return (
                f"{name} has one thread, which waits for a lock or an event: nobody is "
                "left to let it go, as where a lock was copied by fork while held"
            )
        all_of_it = (
            "its only thread waits" if count == 1 else f"all {count} threads wait"
        )
        return f"{name}: {all_of_it} for locks, nobody is left to let go"
    alone = not any(s.status not in ("Z", "X") for s in sight.below)
    if signals.wait == "shared lock" and alone and not set(threads) - FOR_EVER:
        return f"{name} waits for a lock shared with processes that are all gone"
    unread = signals.wait == "pipe" and signals.holder is None
    if unread and alone and not set(threads) - FOR_EVER:
        return f"{name} reads a pipe that nobody else has open"
    return ""
