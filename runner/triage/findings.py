"""
Our own findings from a run's metrics: what trains nothing, or has come apart.

Pure: the state in, the signs that stand now out. They are heuristics and say so;
each carries the numbers that it rests on. A sign that is gone is not in the answer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from trainwatch.runner.state import Process, RunState
from trainwatch.runner.triage.curves import (
    Curve,
    curve,
    has_rewards,
    is_zero,
    not_finite,
    streak,
    threshold,
)

SOON = 2
"""Logs in a row after which something that should not last is told."""
LASTING = 5
"""Logs in a row after which it is taken as lasting."""
BEFORE_A_JUMP = 12
"""Logs that must stand before a jump can be told from noise."""
AFTER_A_JUMP = 3
"""Logs in a row that must stay up: a spike that recovers is none."""
JUMP_SIGMAS = 8.0
JUMP_SHARE = 0.3
SMALL_LOSS = 0.05
"""A loss that was below this before it became 0 came down by itself."""
CAPPED_ROWS = 8
CAPPED_CALLS = 2


@dataclass(frozen=True)
class Sign:
    """One finding that stands now."""

    rule: str
    severity: str
    kind: str
    summary: str
    why: str
    do: str
    evidence: tuple[str, ...]
    """The numbers, newest last."""
    first_step: int | None = None
    last_step: int | None = None
    count: int = 1
    """Logs, or calls, in which it was so."""
    metric: str = ""
    """What has to be looked at to see that it is over."""
    line: float = math.inf
    """Where the metric has to come below before it is over."""


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
    if not math.isfinite(value) or value > sign.line:
        return ""
    return f"not so any more: {sign.metric} is {value:.4g} at step {step:,}"


# --- nothing is learned -------------------------------------------------------


def nothing_trainable(process: Process) -> Sign | None:
    """The model that is trained has no parameter to train."""
    trainable = process.trainable
    if trainable is None or process.training is None:
        return None
    if trainable.parameters or not trainable.total:
        return None
    return Sign(
        "metrics.nothing-trainable",
        "serious",
        "numeric",
        "no parameter of the model is trainable",
        "Every parameter is frozen, so no step can change the model.",
        "Set requires_grad on what you mean to train, or load the adapter with "
        "is_trainable=True.",
        (f"0 of {trainable.total:,} parameters are trainable",),
    )


def loss_zero(process: Process) -> Sign | None:
    """The loss is exactly 0."""
    points = curve(process, "loss")
    zeros = streak(points, is_zero)
    if not zeros or has_rewards(process):
        return None
    before = points[: -len(zeros)]
    norms = curve(process, "grad_norm")
    norm = norms[-1][1] if norms else None
    dead = norm is not None and (norm == 0 or not math.isfinite(norm))
    came_down = bool(before) and 0 < before[-1][1] < SMALL_LOSS and not dead
    evidence = [_held("loss is exactly 0", zeros)]
    if before:
        evidence.append(f"the log before it had {before[-1][1]:.4g}")
    if norm is not None:
        evidence.append(f"grad_norm is {norm:.3g}")
    why = "No label is left to learn from, or the true loss is nan and shown as 0."
    if came_down:
        why = "The loss has come down to nothing: rows are known by heart, or the "
        why += "answer stands in the question."
    serious = not came_down and (dead or len(zeros) >= SOON)
    return Sign(
        "metrics.loss-zero",
        "serious" if serious else "attention",
        "data",
        f"the loss is exactly 0 since step {zeros[0][0]:,}",
        why,
        "Print one prepared row with its labels: are any of them not -100? Compare "
        "the answer markers with the template, max_length with the rows.",
        tuple(evidence),
        *_span(zeros),
        "loss",
    )


def gradient_zero(process: Process) -> Sign | None:
    """No gradient arrives, told apart for adapters."""
    norms = curve(process, "grad_norm")
    zeros = streak(norms, is_zero)
    ledger, trainable = process.ledger, process.trainable
    none = ledger.gradients == 0 and bool(ledger.weights_trainable)
    losses = curve(process, "loss")
    with_loss = bool(losses) and losses[-1][1] == 0
    if len(zeros) < (1 if with_loss else SOON) and not (none and not norms):
        return None
    if has_rewards(process) and not none:
        return None  # Equal rewards give no gradient; that is a sign of its own.
    evidence = []
    if zeros:
        evidence.append(_held("grad_norm is 0", zeros))
    if none:
        evidence.append(f"no gradient in memory before step {ledger.step} was taken")
    if trainable is not None and trainable.percent is not None:
        evidence.append(
            f"{trainable.parameters:,} parameters trainable ({trainable.percent:.3g} %)"
        )
    adapter = trainable is not None and "Peft" in trainable.model
    rule = "metrics.adapter-idle" if adapter else "metrics.gradient-zero"
    what = "the adapter changes nothing" if adapter else "nothing is learned"
    return Sign(
        rule,
        "serious",
        "numeric",
        f"{what}: no gradient arrives",
        "The loss does not reach what is trainable, so every step leaves it as it is.",
        "With gradient checkpointing call model.enable_input_require_grads() or pass "
        "use_reentrant=False; check that the adapter sits on layers that are used.",
        tuple(evidence),
        *_span(zeros),
        "grad_norm",
    )


def rate_zero(process: Process) -> Sign | None:
    """The learning rate is 0 where no schedule begins or ends."""
    points = curve(process, "learning_rate")
    zeros = streak(points, is_zero)
    if len(zeros) < SOON:
        return None
    goal = process.training.max_steps if process.training else None
    step = zeros[-1][0]
    ever = len(zeros) < len(points)
    if goal and zeros[0][0] >= goal - max(1, goal // 50):
        return None  # A schedule that ends at 0 may do so a little early.
    if ever and goal is None and len(zeros) < LASTING:
        return None
    evidence = [_held("learning_rate is 0", zeros)]
    if goal:
        evidence.append(f"step {step:,} of {goal:,}")
    if ever:
        evidence.append(f"before it was {points[-len(zeros) - 1][1]:.3g}")
    return Sign(
        "metrics.rate-zero",
        "attention" if ever else "serious",
        "numeric",
        f"the learning rate is 0 since step {zeros[0][0]:,}",
        "The schedule has ended before the training: what follows changes nothing."
        if ever
        else "No step has changed a weight so far.",
        "Give the schedule the true number of steps."
        if ever
        else "Set learning_rate, and look at the schedule and its warm-up.",
        tuple(evidence),
        *_span(zeros),
        "learning_rate",
    )


def rewards_equal(process: Process) -> Sign | None:
    """All rewards of a group are equal, in every group."""
    ones = streak(curve(process, "frac_reward_zero_std"), lambda share: share >= 1)
    if len(ones) < SOON:
        return None
    evidence = [_held("frac_reward_zero_std is 1", ones)]
    reward = process.metrics.get("reward")
    if reward is not None:
        evidence.append(f"mean reward {reward:.3g}")
    return Sign(
        "metrics.rewards-equal",
        "serious" if len(ones) >= LASTING else "attention",
        "data",
        "every group's completions got the same reward",
        "Without a difference inside a group the advantage is 0, so nothing is "
        "learned from it.",
        "Look at completions and their rewards: too easy, too hard, or a reward "
        "function that never fires. More generations or a higher temperature spread "
        "them.",
        tuple(evidence),
        *_span(ones),
        "frac_reward_zero_std",
    )


# --- it comes apart -----------------------------------------------------------


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
        (_held(f"loss is {bad[-1][1]}", bad),),
        *_span(bad),
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
    evidence = [_held(f"grad_norm is {bad[-1][1]}", bad)]
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
        *_span(bad),
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
        before = [value for _, value in points[max(0, start - 32) : start]]
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
                    f"above {line:.4g} in {_times(above)}",
                ),
                *_span(above),
                "loss",
                line,
            )
    return None


def completions_capped(process: Process) -> Sign | None:
    """No completion ends by itself, where their length is what is rewarded."""
    if not has_rewards(process):
        return None  # A sample between two steps may well be cut.
    ones = streak(curve(process, "completions/clipped_ratio"), lambda share: share >= 1)
    made = process.generated
    by_rows = (
        made.rows >= CAPPED_ROWS
        and made.rows_at_cap == made.rows
        and made.calls >= CAPPED_CALLS
    )
    if len(ones) < SOON and not by_rows:
        return None
    evidence = []
    if ones:
        evidence.append(_held("completions/clipped_ratio is 1", ones))
    if by_rows:
        evidence.append(f"{made.rows_at_cap:,} of {made.rows:,} rows ended at the cap")
    return Sign(
        "metrics.completions-capped",
        "attention",
        "data",
        "every completion is cut at the cap",
        "The reward sees answers without their end, and the model is not taught to "
        "stop.",
        "Raise max_completion_length, or check that the model knows its end token.",
        tuple(evidence),
        *(_span(ones) if ones else (None, None, made.calls)),
        "completions/clipped_ratio",
    )


LOOKS: tuple[Callable[[Process], Sign | None], ...] = (
    nothing_trainable,
    loss_zero,
    gradient_zero,
    rate_zero,
    rewards_equal,
    loss_not_finite,
    gradient_not_finite,
    loss_jumped,
    completions_capped,
)


def _times(points: Curve) -> str:
    return "1 log" if len(points) == 1 else f"{len(points)} logs in a row"


def _held(what: str, points: Curve) -> str:
    first, last = points[0][0], points[-1][0]
    steps = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return f"{what} in {_times(points)} ({steps})"


def _span(points: Curve) -> tuple[int | None, int | None, int]:
    if not points:
        return None, None, 1
    return points[0][0], points[-1][0], len(points)
