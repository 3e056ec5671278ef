"""
The watermarks of torch's allocator on Apple GPUs, as the environment sets them.

`PYTORCH_MPS_HIGH_WATERMARK_RATIO` times the recommended working set is where torch
refuses to allocate; above the low ratio it gives free buffers back and commits more
often. Both are read once, when MPS is first used (`init_allocator` in pytorch
`aten/src/ATen/mps/MPSAllocator.mm`; constants from `MPSAllocator.h` of torch 2.13).
A ratio is a guardrail, not a shrink ray: it makes no model smaller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainwatch.probes import events as ev
from trainwatch.runner.state import RunState

RULE = "memory.watermark"
HIGH = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
LOW = "PYTORCH_MPS_LOW_WATERMARK_RATIO"
DEFAULT_HIGH, DEFAULT_LOW = 1.7, 1.4
MOST = 2.0
"""No ratio may be above it."""


@dataclass(frozen=True)
class Watermarks:
    """
    The two ratios of the recommended working set. 0 is no limit (high), and no relief
    (low). `problem` says why MPS would not even start with them.
    """

    high: float = DEFAULT_HIGH
    low: float = DEFAULT_LOW
    problem: str = ""

    def limit(self, working_set: int) -> int | None:
        """Bytes at which torch refuses; None for no limit."""
        return int(self.high * working_set) if self.high > 0 else None

    def relief(self, working_set: int) -> int | None:
        """Bytes from which torch gives free buffers back; None for never."""
        return int(self.low * working_set) if self.low > 0 else None


def watermarks(environ: Mapping[str, str]) -> Watermarks:
    """The ratios that torch would take from `environ`, by its own checks."""
    high, low = _ratio(environ, HIGH, DEFAULT_HIGH), _ratio(environ, LOW, DEFAULT_LOW)
    problem = ""
    if not 0 <= high <= MOST:
        problem = f"{HIGH}={high:g} is not between 0 and {MOST:g}"
    elif not 0 <= low <= (high or MOST) and LOW in environ:
        problem = f"{LOW}={low:g} is above the high ratio {high or MOST:g}"
    elif not 0 <= low <= (high or MOST):
        problem = f"{HIGH}={high:g} is below the low ratio ({low:g}, not set)"
    if problem:
        problem += ": MPS does not start"
    return Watermarks(high, low, problem)


def _ratio(environ: Mapping[str, str], name: str, default: float) -> float:
    """As `strtod` reads it: what is no number is 0."""
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


LATE = "Set after `import torch` it does nothing where MPS is in use by then."


@dataclass(frozen=True)
class Note:
    """What is to be said of a ratio that somebody set."""

    severity: str
    summary: str
    do: str


def notes(environ: Mapping[str, str]) -> tuple[Note, ...]:
    """What the ratios set in `environ` do, worst first; () where none is set."""
    if HIGH not in environ and LOW not in environ:
        return ()
    told = watermarks(environ)
    if told.problem:
        return (
            Note(
                "serious",
                told.problem,
                f"Unset both, or set both: {LOW} must not be above {HIGH}.",
            ),
        )
    if told.high == 0:
        return (
            Note(
                "attention",
                f"{HIGH}={environ[HIGH]} takes torch's limit away: what does not fit "
                "swaps, and then the system kills the process without a word. It is a "
                "guardrail, not a shrink ray",
                f"Unset it, and make the run smaller: see `trainwatch fit`. {LATE}",
            ),
        )
    changed = [
        f"{name}={environ[name]} (default {default:g})"
        for name, default in ((HIGH, DEFAULT_HIGH), (LOW, DEFAULT_LOW))
        if name in environ
    ]
    return (
        Note(
            "harmless",
            f"{', '.join(changed)}: torch refuses above {told.high:g} times the "
            "recommended working set. A guardrail, not a shrink ray",
            LATE,
        ),
    )


def finding(state: RunState) -> ev.FindingRaised | None:
    """
    What is worth telling of the ratios of a run on MPS: a limit taken away, or a
    ratio set too late. None where they do what they say.
    """
    for process in state.ranks:
        memory = process.memory
        told = [n for n in notes(memory.ratios_set) if n.severity != "harmless"]
        if memory.ratios_late:
            told.append(
                Note(
                    "attention",
                    f"{HIGH} or {LOW} was set after `import torch`: where MPS was in "
                    "use by then it does nothing",
                    "Set it in the shell, before Python starts.",
                )
            )
        if told:
            note = told[0]
            set_ = [f"{name}={value}" for name, value in memory.ratios_set.items()]
            return ev.FindingRaised(
                rule=RULE,
                severity=note.severity,
                kind="resource",
                summary=note.summary,
                evidence=set_ or ["not set when torch was imported"],
                do=note.do,
            )
    return None
