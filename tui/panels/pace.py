"""How fast the steps go, from the state of one process. Pure."""

from __future__ import annotations

import statistics

from trainwatch.runner.state import Process


def usual_step_s(process: Process) -> float | None:
    """Median seconds of a step; the last one before there is a median."""
    if process.steps.recent:
        return statistics.median(process.steps.recent)
    return process.steps.last_s


def wall_step_s(process: Process) -> float | None:
    """Mean seconds from step to step with all that runs between them."""
    steps, training = process.steps, process.training
    if training is None or training.began is None or steps.last_ended is None:
        return None
    return (steps.last_ended - training.began) / steps.count if steps.count else None


def tokens_per_s(process: Process) -> float | None:
    """Tokens trained on per second of stepping."""
    steps = process.steps
    if not steps.tokens or steps.seconds <= 0:
        return None
    return steps.tokens / steps.seconds


def left_s(process: Process) -> float | None:
    """Seconds until the last step at the mean pace so far."""
    each = wall_step_s(process)
    if each is None or process.training is None or process.step is None:
        return None
    if not process.training.max_steps:
        return None
    return max(0, process.training.max_steps - process.step) * each


def stepped_long_ago(process: Process, now: float) -> bool:
    """True when averages over steps no longer say how fast it goes."""
    last, each = process.steps.last_ended, usual_step_s(process)
    if last is None or each is None:
        return False
    return now - last > max(30.0, 5 * each)
