"""
Severity by evidence: the same text is nothing in one run and deadly in another.

A rule names the evidence it rests on in `judged_by`; the function of that name
looks at the run, and at what is known of the family, and says what the warning is
there. None: nothing shows it yet, and the rule's own severity stands. All of it is
asked again as the run goes on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainwatch.runner.state import Process, RunState
from trainwatch.runner.text import duration
from trainwatch.runner.triage import loading
from trainwatch.runner.triage.curves import (
    curve,
    has_rewards,
    is_zero,
    not_finite,
    streak,
)
from trainwatch.runner.triage.rules import SEVERITIES
from trainwatch.runner.triage.sign import LASTING, SOON

NOT_MEASURED = "not measured"
FEW = 0.01
"""A share of masked rows that loses nothing, where many rows were read."""
MANY = 0.5
ENOUGH_ROWS = 100
FIRST_ROWS = 20
"""Below this many rows a share says nothing: a loader reads ahead."""
PARTLY = 0.9
"""Below this share of gradient bytes, some trainable parameters get none."""
ENOUGH_STEPS = 3
AGAIN = 10
"""A warning that came this often while no step ended, and nothing else moved …"""
AGAIN_S = 60.0
"""… for this long, is no longer a detail."""
ONCE = ("start", "import", "load", "data", "download", "save", "end")
"""Phases in which a slow operator costs once and not at every step."""
CALM = ("harmless", "cleanup", "unclassified")

_LIMIT = re.compile(r"\((\d{1,9}) > (\d{1,9})\)")


@dataclass(frozen=True)
class Evidence:
    severity: str
    shown: str
    """What the run shows, in one sentence."""


@dataclass(frozen=True)
class Seen:
    """What is known of one family of warnings."""

    texts: tuple[str, ...] = ()
    """Different records of the family, some of them."""
    severity: str = "unclassified"
    """What the rule says without evidence."""
    count: int = 1
    phase: str = ""
    first_step: int | None = None


def rejudge(judged_by: str, state: RunState, seen: Seen = Seen()) -> Evidence | None:
    """What the run shows about a warning whose rule names this evidence."""
    look = KINDS_OF_EVIDENCE.get(judged_by)
    return look(state, seen) if look is not None else None


def repeated(state: RunState, count: int, since: float, now: float) -> Evidence | None:
    """
    A warning of little weight that came `count` times since `since`, when the last
    step ended or it was first seen.
    """
    lead = state.lead
    if lead is None or count < AGAIN or now - since < AGAIN_S:
        return None
    if lead.progressed is not None and now - lead.progressed < AGAIN_S:
        return None
    return Evidence(
        "attention",
        f"came {count:,} times in {duration(now - since)} in which no step ended",
    )


# --- kinds of evidence --------------------------------------------------------


def gradients(state: RunState, seen: Seen) -> Evidence | None:
    """Whether any parameter gets a gradient, and whether all of them do."""
    lead = state.lead
    if lead is None:
        return None
    trainable = lead.trainable
    if trainable is not None and trainable.parameters == 0:
        return Evidence("serious", "no parameter is trainable")
    norms = curve(lead, "grad_norm")
    arrived, wanted = lead.ledger.gradients, lead.ledger.weights_trainable
    if not norms:
        if arrived is None or not wanted:
            return None
        if arrived == 0:
            return Evidence("serious", "no gradient was there before the first step")
    elif not math.isfinite(norms[-1][1]):
        return None
    elif norms[-1][1] == 0:
        zeros = streak(norms, is_zero)
        return Evidence(
            "serious",
            f"grad_norm is 0 in the last {len(zeros)} of {len(norms)} logs: nothing "
            "is learned",
        )
    if arrived is not None and wanted and arrived < PARTLY * wanted:
        return Evidence(
            "attention",
            f"gradients of {arrived:,} bytes for {wanted:,} bytes of trainable "
            "weights: a part of them learns nothing",
        )
    if not norms:
        return Evidence("harmless", f"{arrived:,} bytes of gradients: they arrive")
    step, norm = norms[-1]
    return Evidence(
        "harmless", f"grad_norm is {norm:.3g} at step {step:,}: gradients arrive"
    )


def labels(state: RunState, seen: Seen) -> Evidence | None:
    """How many rows have no label left, and whether the loss says that all have."""
    lead = state.lead
    if lead is None:
        return None
    losses = curve(lead, "loss")
    if losses and losses[-1][1] == 0 and not has_rewards(lead):
        zeros = streak(losses, is_zero)
        return Evidence(
            "serious",
            f"the loss is exactly 0 in the last {len(zeros)} of {len(losses)} logs: no "
            "label is left",
        )
    rows = rows_read(state, lead, seen.phase)
    if rows is None or rows < FIRST_ROWS:
        return None
    share = min(1.0, seen.count / rows)
    shown = f"{seen.count:,} of about {rows:,} rows read so far ({100 * share:.3g} %)"
    if share >= MANY:
        return Evidence("serious", shown)
    learns = bool(losses) and math.isfinite(losses[-1][1]) and losses[-1][1] > 0
    if share <= FEW and rows >= ENOUGH_ROWS and learns:
        return Evidence("harmless", f"{shown}; the loss is {losses[-1][1]:.3g}")
    return Evidence("attention", shown)


def finite(state: RunState, seen: Seen) -> Evidence | None:
    """Whether a gradient that was not finite came once, or stays."""
    lead = state.lead
    norms = curve(lead, "grad_norm") if lead is not None else ()
    if lead is None or not norms:
        return None
    bad = streak(norms, not_finite)
    skipped = lead.steps.skipped
    note = f"; {skipped:,} steps were skipped by the loss scale" if skipped else ""
    if len(bad) >= LASTING:
        return Evidence(
            "serious", f"not finite in the last {len(bad)} of {len(norms)} logs{note}"
        )
    if bad:
        settles = len(bad) < SOON or (len(bad) == len(norms) and bool(skipped))
        shown = f"not finite in the last {len(bad)} of {len(norms)} logs{note}"
        return None if settles else Evidence("attention", shown)
    total = sum(1 for _, value in norms if not_finite(value))
    shown = f"not finite in {total} of {len(norms)} logs, {norms[-1][1]:.3g} now{note}"
    return Evidence("harmless" if total <= SOON else "attention", shown)


def keys(state: RunState, seen: Seen) -> Evidence | None:
    """Which keys a loading report names. Needs no run."""
    reports = [loading.report_in(text) for text in seen.texts]
    found = [loading.judge(report) if report else None for report in reports]
    told = [entry for entry in found if entry is not None]
    if not told:
        return None
    worst = min(told, key=lambda entry: SEVERITIES.index(entry.severity))
    unread = len(told) < len(found)
    if unread and SEVERITIES.index(seen.severity) < SEVERITIES.index(worst.severity):
        return None  # What could not be read is not called better than its rule.
    return Evidence(worst.severity, worst.shown)


def lengths(state: RunState, seen: Seen) -> Evidence | None:
    """Whether rows that are too long are cut before they reach the model."""
    lead = state.lead
    if lead is None:
        return None
    if "index" in f"{lead.error_kind} {lead.error}".lower():
        return Evidence("serious", f"it ended in {lead.error_kind}: {lead.error[:120]}")
    if lead.steps.count < ENOUGH_STEPS:
        return None
    steps = f"{lead.steps.count:,} steps without an index error"
    limits = [int(m[2]) for text in seen.texts if (m := _LIMIT.search(text))]
    rows = rows_read(state, lead, "")
    tokens = lead.steps.tokens or lead.metrics.get("num_tokens")
    if not limits or not rows or not tokens:
        return Evidence("attention", f"{steps}; whether rows are cut is {NOT_MEASURED}")
    mean = tokens / rows
    shown = f"{steps}; a row has {mean:,.0f} tokens on average, {min(limits):,} fit"
    return Evidence("harmless" if mean <= min(limits) / 2 else "attention", shown)


def fallback(state: RunState, seen: Seen) -> Evidence | None:
    """Where an operator falls back; its share of the time cannot be seen."""
    if seen.phase in ONCE:
        return Evidence("harmless", f"seen in {seen.phase}, outside the steps")
    where = f"seen in {seen.phase}; " if seen.phase else ""
    return Evidence("attention", f"{where}its share of the step is {NOT_MEASURED}")


KINDS_OF_EVIDENCE: Mapping[str, Callable[[RunState, Seen], Evidence | None]] = {
    "gradients": gradients,
    "labels": labels,
    "finite": finite,
    "keys": keys,
    "lengths": lengths,
    "fallback": fallback,
}


def rows_read(state: RunState, lead: Process, phase: str) -> int | None:
    """
    Rows read so far by what said it in `phase`: rows of the map that runs, or rows
    of the steps of all ranks. None where unknown.
    """
    if phase == "data":
        return lead.phase.rows if lead.phase.name == "data" else None
    training = lead.training
    if training is None or not training.batch_size or not lead.steps.count:
        return None
    each = training.batch_size * (training.accumulation or 1)
    return each * lead.steps.count * max(1, len(state.ranks))
