"""Processes that come, go, and have trouble of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.durations import add_duration
from trainwatch.runner.folds.parts import Fold, process_of, put, with_process
from trainwatch.runner.state import PhaseNow, Process, RunState

PROBE_ERRORS = 16


def _joined(state: RunState, event: ev.Event, body: ev.ProcessJoined) -> RunState:
    known = state.processes.get(event.pid)
    base = replace(known, left=None, left_reason="", lost=0) if known else Process()
    process = replace(
        base,
        pid=event.pid,
        rank=event.rank,
        local_rank=body.local_rank,
        world_size=body.world_size,
        role=known.role if known and known.role == "rank" else body.role,
        armed=True,
        argv=tuple(body.argv),
        python=body.python,
        stack_signal=body.stack_signal,
        stack_file=body.stack_file,
        flight=body.flight,
        joined=known.joined if known else event.time,
        progressed=event.time,
    )
    if not known:
        process = replace(process, phase=PhaseNow("start", event.time, event.time))
    return replace(state, processes=put(state.processes, event.pid, process))


def _rank_identified(
    state: RunState, event: ev.Event, body: ev.RankIdentified
) -> RunState:
    return with_process(
        state,
        event.pid,
        role="rank",
        evidence=body.evidence,
        rank=event.rank,
        local_rank=body.local_rank,
        world_size=body.world_size,
        progressed=event.time,
    )


def _left(state: RunState, event: ev.Event, body: ev.ProcessLeft) -> RunState:
    if event.pid not in state.processes and not body.lost:
        return state
    return with_process(
        state,
        event.pid,
        joined=process_of(state, event).joined,
        left=event.time,
        left_reason=body.reason,
        lost=body.lost or 0,
    )


def _imported(state: RunState, event: ev.Event, body: ev.LibraryImported) -> RunState:
    process = process_of(state, event)
    return with_process(
        state,
        event.pid,
        libraries=put(process.libraries, body.name, body.version or ""),
        phases=put(
            process.phases,
            "import",
            add_duration(process.phases.get("import"), body.seconds, 1, 0, "host"),
        ),
        progressed=event.time,
    )


def _exception(state: RunState, event: ev.Event, body: ev.ExceptionRaised) -> RunState:
    return with_process(
        state,
        event.pid,
        error=body.message,
        error_kind=body.kind,
        error_phase=body.phase,
        traceback=body.traceback,
    )


def _probe_failed(state: RunState, event: ev.Event, body: ev.ProbeFailed) -> RunState:
    errors = process_of(state, event).probe_errors
    line = f"{body.probe}: {body.error}"
    return with_process(
        state, event.pid, probe_errors=(*errors[-PROBE_ERRORS + 1 :], line)
    )


def _unseen(state: RunState, event: ev.Event, body: ev.PartUnseen) -> RunState:
    unseen = put(process_of(state, event).unseen, body.what, body.why)
    return with_process(state, event.pid, unseen=unseen)


def _probe_counted(state: RunState, event: ev.Event, body: ev.ProbeCounted) -> RunState:
    return with_process(
        state,
        event.pid,
        events=body.events,
        dropped=body.dropped,
        step_cost_s=body.step_cost_s,
    )


FOLDS: dict[type[Any], Fold] = {
    ev.ProcessJoined: _joined,
    ev.RankIdentified: _rank_identified,
    ev.ProcessLeft: _left,
    ev.LibraryImported: _imported,
    ev.ExceptionRaised: _exception,
    ev.ProbeFailed: _probe_failed,
    ev.PartUnseen: _unseen,
    ev.ProbeCounted: _probe_counted,
}
