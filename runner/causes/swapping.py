"""Memory that does not fit: pages come and go instead of work."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.grown import slower
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.text import duration, size

SWAP_PER_S = 4e6
STALLED = 20.0
"""Percent of ten seconds in which all of the machine waited for memory."""
LATE_S = 10.0
HOST_FRESH_S = 15.0


def swapping(sight: Sight) -> Cause | None:
    """Pages come in from swap, and the run is slower for it."""
    host = sight.state.host
    fresh = host.sampled is not None and sight.now - host.sampled < HOST_FRESH_S
    rate = (host.swap_in_per_s or 0.0) if fresh else 0.0
    stalled = (sight.own.stalled or 0.0) if sight.own else 0.0
    if rate < SWAP_PER_S and stalled < STALLED:
        return None
    longer = slower(sight)
    late = sight.quiet > max(LATE_S, 2 * (sight.slowest or LATE_S))
    if longer is None and not late:
        return None
    evidence = [f"{size(rate)}/s come in from swap"] if rate >= SWAP_PER_S else []
    if stalled >= STALLED:
        evidence.append(f"{stalled:.0f} % of the time waits for memory")
    if longer is not None:
        now, before = longer
        evidence.append(f"a step takes {duration(now)}, usual {duration(before)}")
    return Cause(
        "slow",
        "resource",
        "likely",
        (
            "memory does not fit: slow, and it will not recover by itself",
            "; ".join(evidence),
        ),
        "abort and use a smaller batch or sequence, or gradient checkpointing",
    )
