"""Steps take longer than they did, and which phase grew."""

from __future__ import annotations

import statistics

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.durations import EARLY
from trainwatch.runner.state import PhaseStat, Process
from trainwatch.runner.text import duration

LATEST = 5
"""Steps that are compared, and TWICE of them where they are very slow."""
TWICE = 2
FACTOR, FAR_FACTOR = 2.0, 4.0
LEAST_S = 0.2
"""Steps that grew by less than this are not told."""
COMPUTES = 20.0
"""Percent of a core below which other programs are not what it waits for."""
SHARE = 0.5
"""A phase is named where it carries so much of the difference."""
GROWN_KIND = {"fetch": "data"}


def grown(sight: Sight) -> Cause | None:
    """The last steps are much slower than the first ones of this run."""
    process, longer = sight.process, slower(sight)
    if process is None or longer is None:
        return None
    now, before = longer
    times = f"{now / before:.1f} times the usual {duration(before)}"
    phase, was, takes = _carrier(process, now - before)
    if phase:
        second = f"{phase} grew from {duration(was)} to {duration(takes)} a step"
    else:
        second = "no single phase carries the difference"
    busy = _others(sight)
    return Cause(
        "slow",
        "resource" if busy else GROWN_KIND.get(phase, "slow"),
        "likely",
        (f"a step takes {duration(now)}, {times}", f"{second}{busy}"),
    )


def slower(sight: Sight) -> tuple[float, float] | None:
    """Seconds of a step now and before, where they are far apart."""
    step = sight.process.phases.get("step") if sight.process else None
    before = _before(step) if step else None
    now = _now(step, before) if step else None
    return None if before is None or now is None else (now, before)


def _before(step: PhaseStat) -> float | None:
    """The usual step of the beginning, warm-up left out."""
    return statistics.median(step.early) if len(step.early) >= EARLY else None


def _now(step: PhaseStat, before: float | None) -> float | None:
    """The step of now where it is much longer than before."""
    latest = step.recent[-LATEST:]
    if before is None or step.count <= EARLY + TWICE or not latest:
        return None
    middle = statistics.median(latest)
    slowest = max(step.early)
    twice = min(latest[-TWICE:])
    for value, factor in ((middle, FACTOR), (twice, FAR_FACTOR)):
        if value > max(factor * before, 1.5 * slowest, before + LEAST_S):
            return max(middle, twice)
    return None


def _carrier(process: Process, more: float) -> tuple[str, float, float]:
    """The phase that carries the difference: name, seconds of a step then and now."""
    best = ("", 0.0, 0.0)
    for name, (times, seconds) in process.steps.last_phases.items():
        stat = process.phases.get(name)
        if stat is None or not stat.early:
            continue
        was = statistics.median(stat.early) * times
        if seconds - was > max(SHARE * more, best[2] - best[1]):
            best = (name, was, seconds)
    return best


def _others(sight: Sight) -> str:
    """Said where other programs take the machine."""
    host = sight.state.host
    if host.cpu_host is None or host.cpu is None or not host.cores:
        return ""
    taken = host.cpu_host * host.cores / 100 - host.cpu / 100
    if host.cpu_host < 90 or host.cpu < COMPUTES or taken < 0.4 * host.cores:
        return ""
    return f"; other programs take {taken:.1f} of {host.cores} cores"
