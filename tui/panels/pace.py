"""How fast the steps go, from the state of one process. Pure."""

from __future__ import annotations

import statistics

from trainwatch.runner.state import Process

LATEST = 16
"""Steps that say how fast it goes now: a run may become slower."""


def usual_step_s(process: Process) -> float | None:
    """Median seconds of the latest steps; the last one before there is a median."""
    if process.steps.recent:
        return statistics.median(process.steps.recent[-LATEST:])
    return process.steps.last_s


def wall_step_s(process: Process) -> float | None:
    """Mean seconds from step to step with all that runs between them."""
    steps, training = process.steps, process.training
    if training is None or training.began is None or steps.last_ended is None:
        return None
    return (steps.last_ended - training.began) / steps.count if steps.count else None


def tokens_per_s(process: Process) -> float | None:
    """Tokens of a step on the average, per second of the latest ones."""
    steps, each = process.steps, usual_step_s(process)
    if not steps.tokens or not each:
        return None
    return steps.tokens / steps.count / each


def left_s(process: Process) -> float | None:
    """Seconds until the last step, as fast as the latest ones, with what has run
    between two steps on the average."""
    steps, wall, each = process.steps, wall_step_s(process), usual_step_s(process)
    if wall is None or each is None or process.step is None:
        return None
    if process.training is None or not process.training.max_steps:
        return None
    between = max(0.0, wall - steps.seconds / steps.count)
    return max(0, process.training.max_steps - process.step) * (each + between)


def stepped_long_ago(process: Process, now: float) -> bool:
    """True when averages over steps no longer say how fast it goes."""
    last, each = process.steps.last_ended, usual_step_s(process)
    if last is None or each is None:
        return False
    return now - last > max(30.0, 5 * each)
