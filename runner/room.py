"""
Whether the next checkpoint fits on its disk.

Pure. A trainer writes the new one before it removes an old one, so a limit on their
number does not help while it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner import saves
from trainwatch.runner.salvage import REMOVED
from trainwatch.runner.state import Checkpoint, RunState
from trainwatch.runner.text import size

RULE = "checkpoint-room"
SPARE = 1.05
"""What a file system takes beside the bytes of files, at most about."""


@dataclass(frozen=True)
class Room:
    """Bytes. `free` is as of the last checkpoint, or of the run's folder."""

    needs: int
    by: str
    """What `needs` rests on: a checkpoint's name, or parts of the ledger."""
    free: int
    where: str

    @property
    def fits(self) -> bool:
        return self.needs * SPARE <= self.free


def room(state: RunState) -> Room | None:
    """What the next checkpoint will take; None where nothing tells it."""
    lead = state.lead
    training = lead.training if lead is not None else None
    if lead is None or training is None or training.output_dir is None:
        return None
    # The name is that of any next checkpoint: it is only told apart from the others.
    following = Path(training.output_dir, "checkpoint-next")
    needs = saves.expected(state, lead, following)
    known = _known(state, training.output_dir)
    free = known[-1].disk_free if known else None
    if free is None:
        free = state.host.disk_free
    if needs is None or free is None:
        return None
    return Room(needs.bytes, needs.by, free, training.output_dir)


def room_after(state: RunState) -> Room | None:
    """
    What is left for the next checkpoint once the one that is being written is
    whole, and the oldest is removed where the trainer keeps only so many.
    """
    found, lead = room(state), state.lead
    if found is None or lead is None or lead.phase.name != "save":
        return found
    known = _known(state, found.where)
    takes = lead.phase.total or found.needs
    if not known or known[-1].disk_free is None:
        # The host's free bytes are of now, so what is written is taken already.
        takes = max(0, takes - (lead.phase.bytes or 0))
    limit = lead.training.save_total_limit if lead.training else None
    kept = [c for c in known if c.detail != REMOVED]
    back = (kept[0].bytes or 0) if limit and len(kept) >= limit else 0
    return replace(found, free=max(0, found.free - takes + back))


def _known(state: RunState, folder: str) -> list[Checkpoint]:
    """The checkpoints in `folder`, the newest last."""
    found = [
        c for c in state.checkpoints.values() if Path(c.path).parent == Path(folder)
    ]
    return sorted(found, key=lambda c: c.seen)


def changes(state: RunState) -> list[ev.FindingRaised | ev.FindingCleared]:
    """What is to be told: a next checkpoint that does not fit, or that it does now."""
    known = state.findings.get(RULE)
    stands = known is not None and known.cleared is None
    found = room(state)
    lead = state.lead
    live = lead is not None and lead.training is not None and not lead.training.ended
    if found is None or not live or found.fits:
        if stands and found is not None and found.fits:
            return [ev.FindingCleared(RULE, f"{size(found.free)} are free")]
        return []
    if stands:
        return []
    return [
        ev.FindingRaised(
            rule=RULE,
            severity="serious",
            kind="resource",
            summary="the next checkpoint will not fit on the disk",
            evidence=[
                f"it takes about {size(found.needs)} (as {found.by})",
                f"{size(found.free)} are free for {found.where}",
            ],
            do="make room, or save elsewhere: save_total_limit removes the old one "
            "only after the new one is written",
        )
    ]
