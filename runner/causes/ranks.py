"""Ranks that do not agree. The odd one is named."""

from __future__ import annotations

from collections import Counter

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.idle import explained
from trainwatch.runner.causes.sight import DEADLOCK_S, Sight, fresh
from trainwatch.runner.state import Process, Signals
from trainwatch.runner.text import duration


def lost_rank(sight: Sight) -> Cause | None:
    """A rank ended in the middle of the training, another goes on waiting."""
    if sight.idle < DEADLOCK_S or not sight.state.ranks:
        return None
    gone = [
        p
        for p in sight.state.ranks
        if p.left is not None
        and p.left_reason == "hang-up"
        and (p.training is None or p.training.ended is None)
        and _newest(sight, p)
    ]
    alive = [p for p in sight.state.ranks if p.left is None]
    if not gone or not alive:
        return None
    first = min(gone, key=lambda p: p.left or 0.0)
    return Cause(
        "stuck",
        "distributed",
        "likely",
        (
            f"rank {first.rank} ended without a goodbye "
            f"{duration(sight.now - (first.left or sight.now))} ago, {_place(first)}",
            f"{_named(alive)} still wait{'s' if len(alive) == 1 else ''}, CPU 0",
        ),
        "abort; look at the output of that rank first",
        first.left,
    )


def _newest(sight: Sight, process: Process) -> bool:
    """No later process has the same rank."""
    return not any(
        p.rank == process.rank and p.joined > process.joined for p in sight.state.ranks
    )


def waits_for_rank(sight: Sight) -> Cause | None:
    """The lead waits while another rank goes on."""
    ranks = _alive(sight)
    if len(ranks) < 2 or sight.process is None or sight.quiet < 2 * DEADLOCK_S:
        return None
    own = fresh(sight.state, sight.process.pid, sight.progressed, sight.now)
    if own is None or own.idle_since is None:
        return None
    working = [
        p
        for p in ranks
        if p.pid != sight.process.pid
        and (s := sight.state.signals.get(p.pid)) is not None
        and s.idle_since is None
        and sight.now - s.seen < 15.0
    ]
    if not working:
        return None
    other = working[0]
    return Cause(
        "waiting",
        "distributed",
        "likely",
        (
            f"for rank {other.rank}, which is busy in {_place(other)}",
            f"rank {sight.process.rank} is in {_place(sight.process)}, CPU 0",
        ),
    )


def mismatch(sight: Sight) -> Cause | None:
    """All ranks wait, at least one for another."""
    ranks = _alive(sight)
    signals = [fresh(sight.state, p.pid, p.progressed or 0.0, sight.now) for p in ranks]
    if len(ranks) < 2 or any(s is None or s.idle_since is None for s in signals):
        return None
    idle = min(sight.now - (s.idle_since or sight.now) for s in signals if s)
    quiet = min(sight.now - (p.progressed or sight.now) for p in ranks)
    if min(idle, quiet) < max(sight.idle_limit, 2 * DEADLOCK_S):
        return None
    known = [s for s in signals if s is not None]
    if any(_may_go_on(sight, s) for s in known):
        return None
    odd = _odd(sight, ranks, known)
    told = "; ".join(
        f"rank {p.rank} in {_place(p)} ({s.call or s.wait})"
        for p, s in sorted(
            zip(ranks, known, strict=True), key=lambda pair: pair[0].pid not in odd
        )[:4]
    )
    hung = not sight.on_device
    return Cause(
        "stuck" if hung else "slow",
        "distributed",
        "likely" if odd and hung else "possible",
        (
            f"no progress for {duration(quiet)}, all {len(ranks)} ranks idle, CPU 0",
            told,
        ),
        "t shows the stack of every rank; the one that is elsewhere is the cause",
    )


def _alive(sight: Sight) -> list[Process]:
    return [p for p in sight.state.ranks if p.left is None]


def _may_go_on(sight: Sight, signals: Signals) -> bool:
    """A wait of its own that ends by itself; gloo's have a limit of half an hour."""
    if signals.wait == "timed lock":
        return False
    if signals.wait in ("socket", "file", "disk", "child") or signals.target.startswith(
        "tcp "
    ):
        return True
    return explained(signals) and not sight.sleeps_for_ever(signals)


def _odd(sight: Sight, ranks: list[Process], known: list[Signals]) -> set[int]:
    """Pids of the ranks that are not where most are; with two, the second."""
    places = [(p.phase.name, p.step, s.wait) for p, s in zip(ranks, known, strict=True)]
    (most, count), *rest = Counter(places).most_common()
    if not rest:
        return set()
    if count == rest[0][1]:
        most = places[0]
    return {p.pid for p, place in zip(ranks, places, strict=True) if place != most}


def _place(process: Process) -> str:
    step = f", step {process.step}" if process.step is not None else ""
    return f"{process.phase.name}{step}"


def _named(ranks: list[Process]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0].rank}"
    return f"{len(ranks)} ranks"
