"""
What is left of a training when it stops: the last good checkpoint, and what came
after it.

Pure. A checkpoint is good when it was looked at and is whole. Only one that is
whole and that its trainer can resume from is offered for it.
"""

from __future__ import annotations

import os

from trainwatch.runner.state import Checkpoint, RunState
from trainwatch.runner.text import duration, whole

REMOVED = "removed"
"""The detail of a checkpoint that is not there any more."""
AGAIN_S = 60.0
"""So soon after a checkpoint of ours another one wears the disk for little."""


def when(checkpoint: Checkpoint) -> float:
    """When it was written, as far as that is known."""
    return checkpoint.written or checkpoint.seen


def good(state: RunState) -> Checkpoint | None:
    """The newest whole checkpoint."""
    whole = [c for c in state.checkpoints.values() if c.complete is True]
    return max(whole, key=when, default=None)


def offered(state: RunState) -> Checkpoint | None:
    """The newest checkpoint to resume from."""
    found = [c for c in state.checkpoints.values() if c.complete and c.resumable]
    return max(found, key=when, default=None)


def recent(state: RunState, now: float) -> str:
    """ "checkpoint-8 was saved 12 s ago" by us within a minute, else ""."""
    made = [c for c in state.checkpoints.values() if c.ours and c.complete is not False]
    newest = max(made, key=when, default=None)
    if newest is None or now - when(newest) > AGAIN_S:
        return ""
    return f"{name_of(newest)} was saved {whole(now - when(newest))} ago"


def name_of(checkpoint: Checkpoint) -> str:
    return os.path.basename(checkpoint.path)


def steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def unsaved(state: RunState, now: float) -> str:
    """What is lost where nothing was saved at the end, in words."""
    lead = state.lead
    training = lead.training if lead is not None else None
    if lead is None or training is None:
        return "no training had begun"
    last = lead.steps.last_ended or now
    known = good(state)
    at = lead.step or 0
    if known is not None and known.step is not None:
        if at <= known.step:
            return f"last good is {name_of(known)}, nothing after it is lost"
        return (
            f"last good = step {known.step:,} ({name_of(known)}): "
            f"{steps(at - known.step)}, {duration(last - when(known))} lost"
        )
    done = at - training.first_step
    if done < 1:
        return "no step was done"
    spent = duration(last - (training.began or last))
    since = f" since step {training.first_step:,}" if training.first_step else ""
    return f"no checkpoint was saved{since}: {steps(done)}, {spent} lost"


def resume_line(state: RunState) -> str:
    """Where to go on from when the run has ended, "" where nowhere."""
    known = offered(state)
    if known is None or state.run.status == "finished":
        return ""
    return f"to go on: resume from {known.path}"
