"""What a training logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.durations import thin
from trainwatch.runner.folds.parts import Fold, process_of, with_process
from trainwatch.runner.state import RunState

LOGS = 128
"""Logs of each metric of a training, the newer half as they came."""


def _metrics(state: RunState, event: ev.Event, body: ev.MetricsLogged) -> RunState:
    process = process_of(state, event)
    recent = dict(process.recent)
    for name, value in body.values.items():
        recent[name] = thin((*recent.get(name, ()), (body.step, value)), LOGS)
    state = with_process(
        state,
        event.pid,
        metrics={**process.metrics, **body.values},
        recent=recent,
        metrics_at=event.time,
        epoch=body.epoch if body.epoch is not None else process.epoch,
        progressed=event.time,
    )
    if (process.rank or 0) != 0:
        return state
    series = dict(state.series)
    for name, value in body.values.items():
        series[name] = thin((*series.get(name, ()), (body.step, value)))
    return replace(state, series=series)


FOLDS: dict[type[Any], Fold] = {
    ev.MetricsLogged: _metrics,
}
