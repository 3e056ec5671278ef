"""Memory, what holds it, and what was forecast of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import forecast, slope
from trainwatch.runner.folds.parts import Fold, process_of, with_process
from trainwatch.runner.state import Ledger, RunState


def _memory(state: RunState, event: ev.Event, body: ev.MemorySampled) -> RunState:
    process = process_of(state, event)
    before = process.memory
    used = body.allocated if body.allocated is not None else body.rss
    candidates = [b for b in (before.peak, body.peak, used) if b is not None]
    peak = max(candidates, default=None)
    rose = peak is not None and (before.peak is None or peak > before.peak)
    memory = replace(
        before,
        device=body.device,
        allocated=body.allocated,
        reserved=body.reserved,
        peak=peak,
        peak_phase=body.phase if rose else before.peak_phase,
        rss=body.rss,
        torch_limit=body.torch_limit,
        physical=body.physical,
        sampled=event.time,
        budget=body.budget,
        budget_by=body.budget_by,
        lines=body.lines,
        high_ratio=body.high_ratio,
        low_ratio=body.low_ratio,
        ratios_set=body.ratios_set,
        ratios_late=body.ratios_late,
    )
    phase = process.phase
    rows = phase.rows if phase.name == "evaluate" else None
    training = process.training is not None and process.training.ended is None
    levels = process.levels
    if training:
        levels = slope.add(levels, memory, process.step, rows)
    return with_process(state, event.pid, memory=memory, levels=levels)


def _forecast(state: RunState, event: ev.Event, body: ev.Forecast) -> RunState:
    known = process_of(state, event).forecasts
    told = forecast.told(known, body, event.time)
    return with_process(state, event.pid, forecasts=told)


def _forecast_met(state: RunState, event: ev.Event, body: ev.ForecastMet) -> RunState:
    known = process_of(state, event).forecasts
    met = forecast.met(known, body, event.time)
    return with_process(state, event.pid, forecasts=met)


def _ledger(state: RunState, event: ev.Event, body: ev.LedgerMeasured) -> RunState:
    return with_process(
        state,
        event.pid,
        ledger=Ledger(
            body.weights_trainable,
            body.weights_frozen,
            body.gradients,
            body.exp_avg,
            body.exp_avg_sq,
            body.optimizer_other,
            event.time,
            body.step,
        ),
    )


FOLDS: dict[type[Any], Fold] = {
    ev.MemorySampled: _memory,
    ev.LedgerMeasured: _ledger,
    ev.Forecast: _forecast,
    ev.ForecastMet: _forecast_met,
}
