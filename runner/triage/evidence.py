"""
Severity by evidence: the same text is nothing in one run and deadly in another.

A rule names the evidence it rests on in `judged_by`; the function of that name
looks at the run and says what the warning is there. None: the run does not show
it yet, and the rule's own severity stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainwatch.runner.state import RunState


@dataclass(frozen=True)
class Evidence:
    severity: str
    shown: str
    """What the run shows, in one sentence."""


def rejudge(judged_by: str, state: RunState) -> Evidence | None:
    """What the run shows about a warning whose rule names this evidence."""
    look = KINDS_OF_EVIDENCE.get(judged_by)
    return look(state) if look is not None else None


def gradients(state: RunState) -> Evidence | None:
    """Whether any parameter gets a gradient."""
    lead = state.lead
    if lead is None:
        return None
    if lead.trainable is not None and lead.trainable.parameters == 0:
        return Evidence("serious", "no parameter is trainable")
    norm = lead.metrics.get("grad_norm")
    if norm is None or not math.isfinite(norm):
        return None
    if norm == 0:
        return Evidence("serious", "grad_norm is 0: nothing is learned")
    return Evidence("harmless", f"grad_norm is {norm:.3g}: gradients arrive")


def labels(state: RunState) -> Evidence | None:
    """Whether any label is left to learn from."""
    lead = state.lead
    if lead is None or lead.metrics.get("loss") != 0:
        return None
    if any(name.startswith(("reward", "completions/")) for name in lead.metrics):
        return None
    return Evidence("serious", "the loss is exactly 0: no label is left")


KINDS_OF_EVIDENCE: Mapping[str, Callable[[RunState], Evidence | None]] = {
    "gradients": gradients,
    "labels": labels,
}
