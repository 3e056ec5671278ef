"""Which parts of a step, and what between the steps, the phase panel shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from trainwatch.runner.phases import PARTS, is_own
from trainwatch.runner.state import Process

PROMISED_PARTS = tuple(name for name in PARTS if name != "reference")
"""Shown before they were seen."""
MOST_PARTS = 8
PROMISED_BETWEEN = ("import", "load", "data", "save", "evaluate", "generate")
SOMETIMES = ("download", "compile", "skip")
MOST_BETWEEN = len(PROMISED_BETWEEN)


def step_parts(shares: Mapping[str, float]) -> dict[str, float | None]:
    """
    The parts of a step with their seconds, at most MOST_PARTS, `other` last.

    A user's own follow the known ones, which then are shown only where they ran.
    What is too much is gathered: the smallest, as "3 more".
    """
    own = sorted((n for n in shares if is_own(n)), key=lambda n: -shares[n])
    names = PROMISED_PARTS if "reference" not in shares else PARTS
    ran = [name for name in names if name != "other" and (name in shares or not own)]
    ran += own
    rest = sorted(ran, key=lambda n: -shares.get(n, 0.0))[MOST_PARTS - 2 :]
    if len(rest) < 2:
        rest = []
    parts = {name: shares.get(name) for name in ran if name not in rest}
    if rest:
        parts[f"{len(rest)} more"] = sum(shares[name] for name in rest)
    parts["other"] = shares.get("other")
    return parts


def between_names(process: Process) -> list[str]:
    """
    What to show outside the steps, at most MOST_BETWEEN: what has run, a user's
    own included, then what is promised.
    """
    phases = process.phases
    inside = process.steps.last_phases
    own = [name for name in phases if is_own(name) and name not in inside]
    order = [*PROMISED_BETWEEN, *SOMETIMES, *own]
    chosen = [name for name in order if name in phases]
    if len(chosen) > MOST_BETWEEN:
        chosen.sort(key=lambda name: -phases[name].total_s)
    chosen += [name for name in PROMISED_BETWEEN if name not in phases]
    return [name for name in order if name in chosen[:MOST_BETWEEN]]
