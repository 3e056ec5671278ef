"""Signs that a training comes apart. Pure; heuristics."""

from __future__ import annotations

import math
import statistics

from trainwatch.runner.state import Process
from trainwatch.runner.triage.curves import (
    curve,
    has_rewards,
    not_finite,
    streak,
    threshold,
)
from trainwatch.runner.triage.sign import LASTING, SOON, Sign, held, span, times

BEFORE_A_JUMP = 12
"""Logs that must stand before a jump can be told from noise."""
AFTER_A_JUMP = 3
"""Logs in a row that must stay up: a spike that recovers is none."""
WINDOW = 32
"""Logs that a jump is measured against, at most."""
JUMP_SIGMAS = 8.0
JUMP_SHARE = 0.3


def loss_not_finite(process: Process) -> Sign | None:
    """The loss is nan or infinite."""
    bad = streak(curve(process, "loss"), not_finite)
    if not bad:
        return None
    return Sign(
        "metrics.loss-not-finite",
        "serious" if len(bad) >= SOON else "attention",
        "numeric",
        f"the loss is {bad[-1][1]} since step {bad[0][0]:,}",
        "Once a weight is nan every later loss is. A single one can be a batch "
        "without labels.",
        "Stop if it stays; use bf16 or fp32, a smaller learning rate, or go back to "
        "the checkpoint before it.",
        (held(f"loss is {bad[-1][1]}", bad),),
        *span(bad),
        "loss",
    )


def gradient_not_finite(process: Process) -> Sign | None:
    """grad_norm is nan or infinite, more than a loss scale that settles."""
    points = curve(process, "grad_norm")
    bad = streak(points, not_finite)
    if len(bad) < SOON:
        return None
    if len(bad) < LASTING and len(bad) == len(points) and process.steps.skipped:
        return None  # The loss scale of fp16 comes down; those steps were skipped.
    evidence = [held(f"grad_norm is {bad[-1][1]}", bad)]
    if process.steps.skipped:
        evidence.append(f"{process.steps.skipped:,} steps were skipped")
    return Sign(
        "metrics.gradient-not-finite",
        "serious" if len(bad) >= LASTING else "attention",
        "numeric",
        f"grad_norm is {bad[-1][1]} since step {bad[0][0]:,}",
        "One such step is nothing under fp16; one after the other means that the run "
        "has diverged.",
        "Stop if it stays; use bf16 or a smaller learning rate, and look at the rows "
        "of that step.",
        tuple(evidence),
        *span(bad),
        "grad_norm",
    )


def loss_jumped(process: Process) -> Sign | None:
    """The loss went up and stays there."""
    if has_rewards(process):
        return None
    points = tuple(p for p in curve(process, "loss") if math.isfinite(p[1]))
    if len(points) < BEFORE_A_JUMP + AFTER_A_JUMP:
        return None
    oldest = [value for _, value in points[:BEFORE_A_JUMP]]
    if min(value for _, value in points[-AFTER_A_JUMP:]) <= statistics.median(oldest):
        return None
    # What came after the jump is not part of what it is measured against.
    for start in range(BEFORE_A_JUMP, len(points) - AFTER_A_JUMP + 1):
        before = [value for _, value in points[max(0, start - WINDOW) : start]]
        line = threshold(before, JUMP_SIGMAS, JUMP_SHARE)
        above = points[start:]
        if all(value > line for _, value in above):
            middle = statistics.median(before)
            return Sign(
                "metrics.loss-jumped",
                "attention",
                "numeric",
                f"the loss jumped at step {above[0][0]:,} and has not come back",
                "The training has left the state that it had reached.",
                "Compare with the checkpoint before it; a smaller learning rate or a "
                "longer warm-up, and look at the rows of that step.",
                (
                    f"median {middle:.4g} over {len(before)} logs before, "
                    f"{above[-1][1]:.4g} now",
                    f"above {line:.4g} in {times(above)}",
                ),
                *span(above),
                "loss",
                line,
            )
    return None
