"""Checkpoints that were saved, and what was seen of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.folds.parts import Fold, put
from trainwatch.runner.state import Checkpoint, RunState


def _checkpoint_saved(
    state: RunState, event: ev.Event, body: ev.CheckpointSaved
) -> RunState:
    known = state.checkpoints.get(body.path) or Checkpoint(path=body.path)
    checkpoint = replace(
        known,
        step=body.step if body.step is not None else known.step,
        seconds=body.seconds,
        bytes=body.bytes if body.bytes is not None else known.bytes,
        ours=body.ours or known.ours,
        seen=event.time,
    )
    return replace(state, checkpoints=put(state.checkpoints, body.path, checkpoint))


def _checkpoint_seen(
    state: RunState, event: ev.Event, body: ev.CheckpointSeen
) -> RunState:
    known = state.checkpoints.get(body.path) or Checkpoint(path=body.path)
    checkpoint = replace(
        known,
        step=body.step if body.step is not None else known.step,
        bytes=body.bytes,
        complete=body.complete,
        resumable=body.resumable,
        detail=body.detail,
        seen=event.time,
        disk_free=body.disk_free if body.disk_free is not None else known.disk_free,
        verified=body.verified or (known.verified and known.bytes == body.bytes),
        written=body.written if body.written is not None else known.written,
    )
    return replace(state, checkpoints=put(state.checkpoints, body.path, checkpoint))


FOLDS: dict[type[Any], Fold] = {
    ev.CheckpointSaved: _checkpoint_saved,
    ev.CheckpointSeen: _checkpoint_seen,
}
