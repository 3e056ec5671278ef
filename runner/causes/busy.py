"""It computes, or moves bytes, without a sign of progress."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import QUIET_S, Sight
from trainwatch.runner.state import Signals
from trainwatch.runner.text import duration, size

BUSY_CPU = 5.0
"""Percent of a core, what it wanted and did not get included. Others may take most of
a machine, and what is busy is to stay called so."""
FAULTS = 50.0
HELD_S = 5.0
"""The interpreter has not run our thread for so long: C code keeps it."""
COMPILERS = ("cc1plus", "cc1", "nvcc", "cicc", "ptxas", "ninja", "g++", "clang", "ld")


def compiling(sight: Sight) -> Cause | None:
    """Compilers work below it."""
    own = sight.own
    if own is None or own.idle_since is not None or sight.quiet < HELD_S:
        return None
    found = [name for name in COMPILERS if name in own.names]
    if not found:
        return None
    return Cause(
        "waiting",
        "slow",
        "established",
        (
            f"for a compiler: {', '.join(found)}, {duration(sight.quiet)} by now",
            "something is built; the next run finds it built",
        ),
    )


def busy(sight: Sight) -> Cause | None:
    """A long computation and an endless loop look alike from outside."""
    own = sight.own
    limit = sight.patience if sight.slowest is not None else QUIET_S
    if own is None or own.idle_since is not None or sight.quiet < limit:
        return None
    if sight.process is None or sight.prints(QUIET_S):
        return None
    cpu = sum(s.cpu or 0.0 for s in sight.all)
    queued = max(s.queued or 0.0 for s in sight.all)
    if cpu + queued < BUSY_CPU or own.writing:
        return None
    short = f" ({queued:.0f} % of the time without a core)" if queued > 30 else ""
    what = f"busy, {cpu / 100:.1f} cores{short}: {_with_what(sight, own)}"
    return Cause(
        "slow", "slow", "possible", (sight.stopped_for(), what), "t shows where it is"
    )


def _with_what(sight: Sight, own: Signals) -> str:
    if own.beat is not None and own.seen - own.beat > HELD_S:
        return "C code keeps the interpreter; a long call and an endless one look alike"
    faults = own.major_faults or 0.0
    if faults > FAULTS:
        return f"{faults:,.0f} times a second it waits for a page from the disk"
    if (own.read or 0.0) > 1e6:
        return f"reads {size(own.read)}/s"
    below = [s for s in sight.below if (s.cpu or 0.0) > BUSY_CPU]
    if below and (own.cpu or 0.0) < BUSY_CPU:
        return f"{sight.name(below[0])} computes, {duration(sight.quiet)} by now"
    return "a long computation and an endless loop look alike"
