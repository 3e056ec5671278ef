"""Signs that nothing is learned, or not what was meant. Pure; heuristics."""

from __future__ import annotations

import math

from trainwatch.runner.state import Process
from trainwatch.runner.triage.curves import (
    before,
    curve,
    has_rewards,
    is_zero,
    streak,
)
from trainwatch.runner.triage.sign import LASTING, SOON, Sign, held, span

SMALL_LOSS = 0.05
"""A loss that was below this before it became 0 came down by itself."""
CAPPED_ROWS = 8
CAPPED_CALLS = 2


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
    last = before(points, zeros)
    norms = curve(process, "grad_norm")
    norm = norms[-1][1] if norms else None
    dead = norm is not None and (norm == 0 or not math.isfinite(norm))
    forgotten = last is None and len(zeros) < len(points)
    came_down = not dead and (forgotten or (last is not None and last < SMALL_LOSS))
    evidence = [held("loss is exactly 0", zeros)]
    if last is not None:
        evidence.append(f"the log before it had {last:.4g}")
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
        *span(zeros),
        "loss",
        stuck=0.0,
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
        evidence.append(held("grad_norm is 0", zeros))
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
        *span(zeros),
        "grad_norm",
        stuck=0.0,
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
    evidence = [held("learning_rate is 0", zeros)]
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
        *span(zeros),
        "learning_rate",
        stuck=0.0,
    )


def rewards_equal(process: Process) -> Sign | None:
    """All rewards of a group are equal, in every group."""
    ones = streak(curve(process, "frac_reward_zero_std"), lambda share: share >= 1)
    if len(ones) < SOON:
        return None
    evidence = [held("frac_reward_zero_std is 1", ones)]
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
        *span(ones),
        "frac_reward_zero_std",
        stuck=1.0,
    )


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
        evidence.append(held("completions/clipped_ratio is 1", ones))
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
        *(span(ones) if ones else (None, None, made.calls)),
        "completions/clipped_ratio",
        stuck=1.0,
    )
