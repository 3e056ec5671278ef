"""What is sampled from outside the processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.folds.parts import Fold
from trainwatch.runner.signals.heard import heard
from trainwatch.runner.state import Host, RunState
from trainwatch.runner.usual import unpacked


def _host(state: RunState, event: ev.Event, body: ev.HostSampled) -> RunState:
    return replace(state, host=Host(**vars(body), sampled=event.time))


def _usual(state: RunState, event: ev.Event, body: ev.UsualRecalled) -> RunState:
    return replace(state, usual=unpacked(body.phases), usual_run=body.run)


def _signals(state: RunState, event: ev.Event, body: ev.SignalsSampled) -> RunState:
    return replace(state, signals=heard(state.signals, body, event.time))


def _refused(state: RunState, event: ev.Event, body: ev.LinesRefused) -> RunState:
    return replace(state, refused_lines=body.malformed + body.oversized + body.foreign)


FOLDS: dict[type[Any], Fold] = {
    ev.HostSampled: _host,
    ev.SignalsSampled: _signals,
    ev.UsualRecalled: _usual,
    ev.LinesRefused: _refused,
}
