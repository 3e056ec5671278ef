"""
What is usual for a phase: in this run, else in the last run of the same script and
model on this machine. Pure.

Cold start and first steps stand apart: a first step may take as long as the first one
of the run before.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from trainwatch.runner.durations import percentile
from trainwatch.runner.phases import PARTS
from trainwatch.runner.state import PhaseStat, Process, RunState, Usual

ENOUGH = 3
"""Durations of this run after which the run before is not asked."""
LEAST_STEPS = 3
"""A run with fewer steps teaches nothing about steps."""


def seconds(state: RunState, process: Process, phase: str) -> tuple[float | None, str]:
    """The usual duration of `phase`, and "in the last run" where it is from there."""
    stat = process.phases.get(phase)
    if stat is not None and stat.recent:
        return statistics.median(stat.recent), ""
    known = state.usual.get(phase)
    if known is None:
        return None, ""
    return known.seconds, "in the last run"


def slowest(state: RunState, process: Process, phase: str) -> float | None:
    """How long `phase` may take and be well; None where nothing is known of it."""
    stat = process.phases.get(phase)
    recent = stat.recent if stat else ()
    here = percentile(recent, 0.95)
    if len(recent) >= ENOUGH:
        return here
    known = state.usual.get(phase)
    found = [here, known.slowest if known else None]
    first = state.usual.get("step")
    if process.steps.count == 0 and phase in (*PARTS, "step", "compile") and first:
        found.append(first.first)
    return max((value for value in found if value is not None), default=None)


def learned(process: Process) -> dict[str, Usual]:
    """What this run teaches the next one."""
    steps = process.steps.count >= LEAST_STEPS
    found = {}
    for name, stat in process.phases.items():
        if stat.recent and (steps or name not in (*PARTS, "step")):
            found[name] = _of(stat)
    return found


def _of(stat: PhaseStat) -> Usual:
    middle = statistics.median(stat.recent)
    spread = statistics.median(abs(value - middle) for value in stat.recent)
    return Usual(
        count=stat.count,
        seconds=middle,
        spread=spread,
        slowest=percentile(stat.recent, 0.95) or middle,
        first=stat.first if stat.first is not None else middle,
    )


def packed(usual: dict[str, Usual]) -> dict[str, list[float]]:
    """As it stands in the log and in the file."""
    return {
        name: [u.count, u.seconds, u.spread, u.slowest, u.first]
        for name, u in usual.items()
    }


def unpacked(phases: Mapping[str, Sequence[float]]) -> dict[str, Usual]:
    return {
        name: Usual(int(v[0]), v[1], v[2], v[3], v[4])
        for name, v in phases.items()
        if len(v) >= 5
    }
