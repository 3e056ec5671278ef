"""Steps and phases, as they end and as they run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import resume
from trainwatch.runner.durations import add_duration
from trainwatch.runner.folds.parts import Fold, process_of, put, with_process
from trainwatch.runner.phases import filed, shown
from trainwatch.runner.progress import mark
from trainwatch.runner.state import DeviceTimes, PhaseNow, RunState, StepStat

WARM_UP = 1
"""First runs of a phase inside steps that do not count as usual: they are 5 to
50 times slower (allocation, autotuning)."""


def _step_ended(state: RunState, event: ev.Event, body: ev.StepEnded) -> RunState:
    process = process_of(state, event)
    phases = dict(process.phases)
    shares: dict[str, tuple[float, float]] = {}
    for name, pair in body.phases.items():
        if len(pair) != 2:
            continue
        name = filed(name, phases)
        count, seconds = int(pair[0]), pair[1]
        phases[name] = add_duration(
            phases.get(name), seconds, count, WARM_UP, body.clock
        )
        times, before = shares.get(name, (0.0, 0.0))
        shares[name] = (times + pair[0], before + seconds)
    count = max(1, body.count)
    phases["step"] = add_duration(
        phases.get("step"), body.seconds, count, WARM_UP, body.clock
    )
    steps = process.steps
    tokens = steps.tokens
    if body.tokens is not None:
        tokens = (tokens or 0) + body.tokens
    each = body.seconds / count
    return with_process(
        state,
        event.pid,
        role="rank",
        step=body.step,
        phases=phases,
        steps=StepStat(
            count=steps.count + count,
            seconds=steps.seconds + body.seconds,
            last_s=each,
            last_ended=event.time,
            last_phases=shares,
            recent=phases["step"].recent,
            tokens=tokens,
            skipped=steps.skipped + body.skipped,
        ),
        progressed=event.time,
    )


def _device_timed(state: RunState, event: ev.Event, body: ev.DeviceTimed) -> RunState:
    known = process_of(state, event).device or DeviceTimes()
    phases = dict(known.phases)
    shares: dict[str, float] = {}
    for name, seconds in body.phases.items():
        name = filed(name, phases)
        phases[name] = add_duration(phases.get(name), seconds, 1, 0, "device")
        shares[name] = shares.get(name, 0.0) + seconds
    phases["step"] = add_duration(phases.get("step"), body.seconds, 1, 0, "device")
    device = DeviceTimes(
        kind=body.kind,
        sampled=body.sampled,
        steps=body.steps,
        step=body.step,
        seconds=body.seconds,
        last_phases=shares,
        phases=phases,
    )
    return with_process(state, event.pid, device=device)


def _phase_ended(state: RunState, event: ev.Event, body: ev.PhaseEnded) -> RunState:
    process = process_of(state, event)
    name = filed(shown(body.phase, body.detail)[0], process.phases)
    stat = add_duration(
        process.phases.get(name), body.seconds, max(1, body.count), 0, "host"
    )
    return with_process(
        state,
        event.pid,
        phases=put(process.phases, name, stat),
        training=resume.skipped(process.training, body),
        progressed=event.time,
    )


def _phase_observed(
    state: RunState, event: ev.Event, body: ev.PhaseObserved
) -> RunState:
    process = state.processes.get(body.of)
    if process is None:
        return state
    name, detail = shown(body.phase, body.detail)
    now = PhaseNow(
        name=name,
        since=body.since,
        seen=event.time,
        micro_step=body.micro_step,
        tokens=body.tokens,
        bytes=body.bytes,
        rows=body.rows,
        total=body.total,
        detail=detail,
        total_by=body.total_by,
    )
    before = process.phase
    now = replace(now, marks=mark(before, now))
    counters = (now.name, now.since, now.tokens, now.bytes, now.rows, now.micro_step)
    moved = counters != (
        before.name,
        before.since,
        before.tokens,
        before.bytes,
        before.rows,
        before.micro_step,
    )
    generations = process.generations
    if generations and not generations[-1].done and body.tokens is not None:
        last = generations[-1]
        ttft = last.ttft_s
        if ttft is None and body.phase == "decode":
            ttft = max(0.0, body.since - last.began)
        if body.tokens >= last.tokens:
            last = replace(last, tokens=body.tokens, seen=event.time, ttft_s=ttft)
        generations = (*generations[:-1], last)
    return with_process(
        state,
        body.of,
        phase=now,
        step=body.step if body.step is not None else process.step,
        generations=generations,
        progressed=event.time if moved else process.progressed,
    )


FOLDS: dict[type[Any], Fold] = {
    ev.StepEnded: _step_ended,
    ev.DeviceTimed: _device_timed,
    ev.PhaseEnded: _phase_ended,
    ev.PhaseObserved: _phase_observed,
}
