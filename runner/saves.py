"""
What a save that is under way will weigh, and where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainwatch.probes import flight
from trainwatch.runner.state import Process, RunState


@dataclass(frozen=True)
class Expected:
    """Bytes, and what the number rests on."""

    bytes: int
    by: str


@dataclass(frozen=True)
class Saving:
    """A save that is under way, as far as it is known from outside."""

    written: int | None = None
    expected: Expected | None = None


UNKNOWN = Saving()


def place(detail: str, output_dir: str | None, cwd: str) -> Path | None:
    """
    Where a save goes. The flight record has the path, or only the name where the
    path is too long for it; then it is looked for where the trainer writes.
    """
    if not detail:
        return None
    path = Path(detail)
    if path.is_absolute():
        return path
    return Path(cwd, output_dir, detail) if output_dir else None


def expected(state: RunState, process: Process, path: Path) -> Expected | None:
    """
    What `path` will weigh: as much as the checkpoint before it in the same folder,
    else what the ledger has of weights and optimizer state. None where neither
    says: a save that is no checkpoint, or shards on several ranks.
    """
    training = process.training
    before = [
        checkpoint
        for checkpoint in state.checkpoints.values()
        if checkpoint.bytes
        and checkpoint.complete is not False
        and Path(checkpoint.path).parent == path.parent
        and Path(checkpoint.path).name.partition("-")[0] == path.name.partition("-")[0]
        and Path(checkpoint.path) != path
    ]
    if before:
        newest = max(before, key=lambda checkpoint: checkpoint.seen)
        assert newest.bytes is not None
        return Expected(newest.bytes, Path(newest.path).name)
    is_checkpoint = path.name.startswith("checkpoint-")
    if not is_checkpoint or training is None or (process.world_size or 1) > 1:
        return None
    ledger = process.ledger
    weights = ledger.weights_trainable
    adapter = process.trainable is not None and process.trainable.model.startswith(
        "Peft"
    )
    if weights is not None and not adapter:
        weights = weights + ledger.weights_frozen if ledger.weights_frozen else weights
    if not weights:
        return None
    if not training.resumable:
        return Expected(weights, "weights")
    if ledger.exp_avg is None:
        return None
    optimizer = sum(
        part or 0
        for part in (ledger.exp_avg, ledger.exp_avg_sq, ledger.optimizer_other)
    )
    return Expected(weights + optimizer, "weights and optimizer state")


class Records(Protocol):
    """The flight records of a run."""

    def reading(self, pid: int) -> flight.Reading | None: ...


def under_way(state: RunState, records: Records) -> list[Process]:
    """The processes that save something at this moment."""
    return [process for process, _ in _saving(state, records)]


def places(state: RunState, records: Records, cwd: str) -> set[Path]:
    """Where they save to, as far as that is known."""
    found = set()
    for process, reading in _saving(state, records):
        output = process.training.output_dir if process.training else None
        path = place(reading.detail, output, cwd)
        if path is not None:
            found.add(path)
    return found


def _saving(state: RunState, records: Records) -> list[tuple[Process, flight.Reading]]:
    found = []
    for process in state.processes.values():
        if process.left is None and process.flight is not None:
            reading = records.reading(process.pid)
            if reading is not None and reading.phase == "save":
                found.append((process, reading))
    return found
