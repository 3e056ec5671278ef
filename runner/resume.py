"""
The card of a run that goes on from a checkpoint: what it found there, in words.

Pure. Whether the weights are the right ones is not looked at: that is what the
trainer loaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from trainwatch.probes import events as ev
from trainwatch.runner import progress
from trainwatch.runner.state import Process, Resumed, Training
from trainwatch.runner.text import duration

STATES = ("optimizer", "scheduler", "random")
NAMES = {"random": "random state"}
SHOWN_STEPS = 20
"""So long a good card is shown; one that lacks something stays."""


@dataclass(frozen=True)
class Card:
    """What to show: a headline, its parts, and whether something is missing."""

    headline: str
    parts: tuple[str, ...]
    missing: tuple[str, ...]


def told(body: ev.TrainingResumed, time: float) -> Resumed:
    return Resumed(**vars(body), at=time)


def skipped(training: Training | None, body: ev.PhaseEnded) -> Training | None:
    """`training` after a phase ended: one that skipped batches belongs to the card."""
    if training is None or training.resumed is None or body.phase != "skip":
        return training
    resumed = replace(training.resumed, skipped=body.rows, skipped_s=body.seconds)
    return replace(training, resumed=resumed)


def card(process: Process, now: float) -> Card | None:
    """The card of a process that was resumed, None for any other."""
    resumed = process.training.resumed if process.training else None
    if resumed is None:
        return None
    name = os.path.basename(os.path.normpath(resumed.path)) if resumed.path else ""
    headline = f"resumed at step {resumed.step:,}" + (f" from {name}" if name else "")
    there = [NAMES.get(s, s) for s in STATES if getattr(resumed, s)]
    missing = tuple(NAMES.get(s, s) for s in STATES if getattr(resumed, s) is False)
    parts = [
        f"not found: {', '.join(missing)}" if missing else "",
        f"found: {', '.join(there)}" if there else "",
        "" if there or missing else "cannot tell what it found",
        rate(resumed),
        skip(resumed, process, now),
    ]
    return Card(headline, tuple(part for part in parts if part), missing)


def rate(resumed: Resumed) -> str:
    """The learning rate before and after; what was not logged is not known."""
    after = "" if resumed.rate_after is None else f"{resumed.rate_after:.3g}"
    if resumed.rate_before is None:
        return f"learning rate {after}, before it not logged" if after else ""
    at = "" if resumed.rate_step is None else f" (step {resumed.rate_step:,})"
    return f"learning rate {resumed.rate_before:.3g}{at} → {after or 'not known'}"


def skip(resumed: Resumed, process: Process, now: float) -> str:
    """The batches that were seen before: skipped, being skipped, or seen again."""
    if resumed.skips is False:
        return "batches are not skipped (ignore_data_skip): it sees some again"
    if process.phase.name == "skip" and process.left is None:
        total = process.phase.total
        all_of = f"{total:,} batches" if total else "batches"
        words = progress.words(process.phase, now) or [all_of]
        return f"skipping {', '.join(words)}"
    if resumed.skipped_s is None:
        return ""
    what = "batches" if resumed.skipped is None else f"{resumed.skipped:,} batches"
    return f"skipped {what} in {duration(resumed.skipped_s)}"


def shown(process: Process) -> bool:
    """Whether the card still tells something new."""
    training = process.training
    resumed = training.resumed if training else None
    if resumed is None:
        return False
    if any(getattr(resumed, state) is False for state in STATES):
        return True
    return (process.step or 0) - resumed.step < SHOWN_STEPS


def line(process: Process, now: float) -> str:
    """The card in one line, "" for a process that was not resumed."""
    found = card(process, now)
    return "" if found is None else "; ".join((found.headline, *found.parts))
