"""
What the run's own record shows that nobody saw: pure, from the state.

The probes say themselves where they cannot look. The rest follows from counts
that do not fit: steps without a forward, an end without a goodbye.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from trainwatch.runner.state import Process, RunState

_TAKES_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def log_only(state: RunState) -> str | None:
    """
    Why the run is watched from outside only, None where a probe has connected
    or still may.
    """
    if any(process.armed for process in state.processes.values()):
        return None
    if state.run.adopted:
        return "it was adopted while it ran"
    if not state.run.probes:
        return "started with --no-probes"
    option = isolating_option(state.run.argv)
    if option is not None:
        return f"python {option} keeps probes out"
    failed = next((p for p in state.processes.values() if p.probe_errors), None)
    if failed is not None:
        return f"the probes could not begin ({failed.probe_errors[0]})"
    return "no probe connected" if state.over else None


def watched_outside(state: RunState) -> str:
    """What is watched of a run without probes."""
    if state.run.adopted:
        return "host and files are watched"
    return "output, host and files are watched"


def isolating_option(argv: Sequence[str]) -> str | None:
    """
    The option by which a Python in `argv` ignores PYTHONPATH (`-E`, `-I`) or
    loads no site (`-S`); None for any other command.
    """
    words = iter(argv)
    for word in words:
        if re.fullmatch(r"python[0-9.]*|pypy[0-9.]*", os.path.basename(word)):
            break
    for word in words:
        if word in _TAKES_VALUE:
            next(words, None)
            continue
        if not word.startswith("-") or word == "-":
            return None
        if word.startswith("--"):
            continue
        for letter in word[1:]:
            if letter in "EIS":
                return f"-{letter}"
            if letter in "cmWX":
                break
        if letter in "cm":
            return None
    return None


def unseen(process: Process, over: bool) -> dict[str, str]:
    """What could not be seen of `process` -> why."""
    found = dict(process.unseen)
    steps = process.steps.count
    for phase, why in (
        ("forward", "no call of a model was seen"),
        ("backward", "no backward was seen"),
    ):
        stat = process.phases.get(phase)
        missing = steps - (stat.count if stat else 0)
        if missing > 0:
            found[phase] = f"in {missing:,} of {steps:,} steps {why}"
    if not over and process.left is None:
        return found
    first = process.training.first_step if process.training else 0
    missing = (process.step or 0) - first - steps
    if missing > 0:
        found["steps"] = f"the times of {missing:,} steps did not arrive"
    elif process.evidence == "backward" and not (process.training or steps):
        found["steps"] = "no optimizer was seen to step"
    if process.lost:
        found["events"] = f"its last {process.lost:,} events did not arrive"
    if process.left_reason == "hang-up" and process.role in ("rank", "other"):
        found["end"] = "it ended without a goodbye: its last 0.1 s may be missing"
    return found
