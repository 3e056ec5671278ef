"""
`fold(state, event)`: the one place where events become state.

Pure: the same events give the same state, live, replayed or in a test. An event
whose type is not known is counted and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import notice
from trainwatch.runner.folds import (
    checkpoints,
    commands,
    generation,
    memory,
    metrics,
    outside,
    process,
    run,
    steps,
    training,
    warnings,
)
from trainwatch.runner.folds.parts import Fold, put
from trainwatch.runner.state import EMPTY, RunState

_FOLDS: dict[type[Any], Fold] = {
    ev.NoticeGiven: notice.given,
    **run.FOLDS,
    **process.FOLDS,
    **training.FOLDS,
    **steps.FOLDS,
    **metrics.FOLDS,
    **generation.FOLDS,
    **memory.FOLDS,
    **warnings.FOLDS,
    **checkpoints.FOLDS,
    **commands.FOLDS,
    **outside.FOLDS,
}


def fold(state: RunState, event: ev.Event) -> RunState:
    """The state after `event`."""
    state = replace(state, events=state.events + 1, last_event=event.time)
    if event.seq and event.pid in state.processes:
        heard = max(event.seq, state.heard.get(event.pid, 0))
        state = replace(state, heard=put(state.heard, event.pid, heard))
    if event.body is None:
        return replace(state, unknown_events=state.unknown_events + 1)
    step = _FOLDS.get(type(event.body))
    return step(state, event, event.body) if step else state


def fold_all(events: Iterable[ev.Event], state: RunState = EMPTY) -> RunState:
    for event in events:
        state = fold(state, event)
    return state
