"""
Our own findings from a run's metrics: what trains nothing, or has come apart.

Pure: the state in, the signs that stand now out. They are heuristics and say so;
each carries the numbers that it rests on. A sign that is gone is not in the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from trainwatch.runner.state import Process, RunState
from trainwatch.runner.triage import divergence, learning
from trainwatch.runner.triage.curves import curve
from trainwatch.runner.triage.sign import Sign

LOOKS: tuple[Callable[[Process], Sign | None], ...] = (
    learning.nothing_trainable,
    learning.loss_zero,
    learning.gradient_zero,
    learning.rate_zero,
    learning.rewards_equal,
    divergence.loss_not_finite,
    divergence.gradient_not_finite,
    divergence.loss_jumped,
    learning.completions_capped,
)


def signs(state: RunState) -> tuple[Sign, ...]:
    """The findings that stand in `state`, by its lead process."""
    lead = state.lead
    if lead is None:
        return ()
    found = (look(lead) for look in LOOKS)
    return tuple(sign for sign in found if sign is not None)


def recovered(sign: Sign, process: Process) -> str:
    """How it is seen that `sign`, which stands no more, is over; "" where it is not."""
    points = curve(process, sign.metric)
    if not points:
        return ""
    step, value = points[-1]
    if not math.isfinite(value) or value > sign.line or value == sign.stuck:
        return ""
    return f"not so any more: {sign.metric} is {value:.4g} at step {step:,}"
