"""
The changes of a plan that may make it fit, and the search for the smallest.

Nothing is guessed: each change is simulated, one that does not help is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from trainwatch.runner.fit.plan import TARGETS, Plan

HELPS = 0.99
"""A change is one that helps where the peak is below this share of the one before."""
ENOUGH = 2
"""So many single changes that fit are a choice; more would only take longer."""
SHORTEST = 128


@dataclass(frozen=True)
class Change:
    """
    Some changes of a plan, in words, and the plan with them. `kind` is what a single
    one changes: it is made once.
    """

    kind: str
    words: tuple[str, ...]
    plan: Plan


def singles(plan: Plan) -> Iterator[Change]:
    """
    Each change by itself, those first that cost the training least.
    """
    if plan.optimizer in ("adamw", "adamw-for-loop", "adamw-foreach"):
        yield _change(plan, "fused AdamW", optimizer="adamw-fused")
    if not plan.gradient_checkpointing:
        yield _change(plan, "gradient checkpointing", gradient_checkpointing=True)
    if plan.batch > 1:
        batch = plan.batch // 2
        accumulate = plan.accumulate * -(-plan.batch // batch)
        words = f"batch {batch}, accumulate {accumulate}"
        yield _change(plan, words, batch=batch, accumulate=accumulate)
    if plan.seq >= 2 * SHORTEST:
        yield _change(plan, f"sequences of {plan.seq // 2}", seq=plan.seq // 2)
    if plan.trainer == "hf":
        yield _change(plan, "TRL's loss in chunks", trainer="trl")
    if plan.optimizer.startswith("adamw"):
        yield _change(plan, "Adafactor for AdamW", optimizer="adafactor")
    if plan.method == "partial":
        if plan.lm_head and plan.layers:
            yield _change(plan, "lm_head frozen", lm_head=False)
        if plan.layers > 1:
            layers = plan.layers // 2
            s = "s" if layers > 1 else ""
            yield _change(plan, f"only {layers} layer{s}", layers=layers)
    if plan.method != "lora":
        yield _change(plan, "LoRA r16 instead", method="lora", rank=16, targets=TARGETS)


def _change(plan: Plan, words: str, **values: object) -> Change:
    changed = replace(plan, **values)  # type: ignore[arg-type]
    return Change(next(iter(values)), (words,), changed)


def search(
    plan: Plan,
    peak: int,
    peak_of: Callable[[Plan], int | None],
    fits: Callable[[int], bool],
) -> Iterator[tuple[Change, int]]:
    """
    The single changes that help, with their peaks in bytes, until two of them fit;
    where none does, several at once, one after the other, until they fit or nothing
    more helps.

    Args:
        peak: the peak of `plan` itself.
        peak_of: simulates; None where a plan cannot be simulated here.
        fits: whether that peak fits.
    """
    enough = 0
    helped = False
    for change in singles(plan):
        found = peak_of(change.plan)
        if found is not None and found < HELPS * peak:
            yield change, found
            helped = True
            enough += fits(found)
        if enough == ENOUGH:
            return
    if not helped or enough:
        return
    words: tuple[str, ...] = ()
    made: set[str] = set()
    while step := next((c for c in singles(plan) if c.kind not in made), None):
        made.add(step.kind)
        found = peak_of(step.plan)
        if found is None or found >= HELPS * peak:
            continue
        plan, peak, words = step.plan, found, words + step.words
        if len(words) > 1:
            yield Change(step.kind, words, plan), peak
        if fits(peak):
            return
