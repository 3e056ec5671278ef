"""Everybody waits for somebody, and nobody is left to let go."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Signals

FOR_EVER = {"lock"}


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
                "t shows where each thread waits; forked workers: num_proc=1, "
                "TOKENIZERS_PARALLELISM=false",
            )
    return None


def _for_ever(sight: Sight, signals: Signals) -> str:
    """Why `signals` can never go on, "" where it may."""
    threads = sight.others(signals)
    name = sight.name(signals)
    below = sight.own is not None and signals.of != sight.own.of
    if signals.wait == "lock" and not set(threads) - FOR_EVER:
        count = 1 + sum(threads.values())
        if below and count == 1 and signals.of not in sight.state.processes:
            return (
                f"{name} has one thread and it waits for a lock that only itself "
                "could let go: copied by fork while held"
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
