"""What is told of the run itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.folds.parts import Fold
from trainwatch.runner.state import RunState


def _run_started(state: RunState, event: ev.Event, body: ev.RunStarted) -> RunState:
    return replace(
        state,
        run=replace(
            state.run,
            id=body.id,
            name=body.name,
            argv=tuple(body.argv),
            cwd=body.cwd,
            started=event.time,
            probes=body.probes,
            adopted=body.adopted,
        ),
    )


def _child_spawned(state: RunState, event: ev.Event, body: ev.ChildSpawned) -> RunState:
    return replace(state, run=replace(state.run, status="running", child=body.child))


def _supervisor_started(
    state: RunState, event: ev.Event, body: ev.SupervisorStarted
) -> RunState:
    return replace(
        state,
        run=replace(state.run, supervisor=body.supervisor, keeper=body.keeper),
        takeovers=state.takeovers + body.takeover,
    )


def _run_renamed(state: RunState, event: ev.Event, body: ev.RunRenamed) -> RunState:
    return replace(state, run=replace(state.run, name=body.name))


def _run_ended(state: RunState, event: ev.Event, body: ev.RunEnded) -> RunState:
    return replace(
        state,
        run=replace(
            state.run,
            status=body.status,
            exit_code=body.exit_code,
            signal=body.signal,
            detail=body.detail,
            ended=event.time,
        ),
    )


FOLDS: dict[type[Any], Fold] = {
    ev.RunStarted: _run_started,
    ev.ChildSpawned: _child_spawned,
    ev.SupervisorStarted: _supervisor_started,
    ev.RunEnded: _run_ended,
    ev.RunRenamed: _run_renamed,
}
