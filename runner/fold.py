"""
`fold(state, event)`: the one place where events become state.

Pure: the same events give the same state, live, replayed or in a test. An event
whose type is not known is counted and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from trainwatch.probes import events as ev
from trainwatch.runner import forecast, notice, resume, slope
from trainwatch.runner.durations import add_duration, thin
from trainwatch.runner.phases import filed, shown
from trainwatch.runner.progress import mark
from trainwatch.runner.signals.heard import heard
from trainwatch.runner.state import (
    EMPTY,
    Checkpoint,
    Command,
    DeviceTimes,
    Finding,
    Generation,
    Host,
    Ledger,
    PhaseNow,
    Process,
    RunState,
    StepStat,
    Trainable,
    Training,
    TriagedWarning,
)
from trainwatch.runner.usual import unpacked

WARM_UP = 1
"""First runs of a phase inside steps that do not count as usual: they are 5 to
50 times slower (allocation, autotuning)."""
GENERATIONS = 32
COMMANDS = 64
LOGS = 128
"""Logs of each metric of a training, the newer half as they came."""
PROBE_ERRORS = 16

Fold = Callable[[RunState, ev.Event, Any], RunState]


def fold(state: RunState, event: ev.Event) -> RunState:
    """The state after `event`."""
    state = replace(state, events=state.events + 1, last_event=event.time)
    if event.body is None:
        return replace(state, unknown_events=state.unknown_events + 1)
    step = _FOLDS.get(type(event.body))
    return step(state, event, event.body) if step else state


def fold_all(events: Iterable[ev.Event], state: RunState = EMPTY) -> RunState:
    for event in events:
        state = fold(state, event)
    return state


K = TypeVar("K")
V = TypeVar("V")


def _put(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    return {**mapping, key: value}


def _process(state: RunState, pid: int, **changes: Any) -> RunState:
    process = state.processes.get(pid) or Process(pid=pid)
    return replace(
        state, processes=_put(state.processes, pid, replace(process, **changes))
    )


def _get(state: RunState, event: ev.Event) -> Process:
    return state.processes.get(event.pid) or Process(pid=event.pid, joined=event.time)


# --- the run ---


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


# --- processes ---


def _joined(state: RunState, event: ev.Event, body: ev.ProcessJoined) -> RunState:
    known = state.processes.get(event.pid)
    base = replace(known, left=None, left_reason="") if known else Process()
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
    return replace(state, processes=_put(state.processes, event.pid, process))


def _rank_identified(
    state: RunState, event: ev.Event, body: ev.RankIdentified
) -> RunState:
    return _process(
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
    if event.pid not in state.processes:
        return state
    return _process(state, event.pid, left=event.time, left_reason=body.reason)


def _imported(state: RunState, event: ev.Event, body: ev.LibraryImported) -> RunState:
    process = _get(state, event)
    return _process(
        state,
        event.pid,
        libraries=_put(process.libraries, body.name, body.version or ""),
        phases=_put(
            process.phases,
            "import",
            add_duration(process.phases.get("import"), body.seconds, 1, 0, "host"),
        ),
        progressed=event.time,
    )


def _training_began(
    state: RunState, event: ev.Event, body: ev.TrainingBegan
) -> RunState:
    known = _get(state, event).training or Training()
    if known.began == event.time:
        # Told again to a new supervisor: the steps since then stay counted.
        return state
    return _process(
        state,
        event.pid,
        role="rank",
        step=body.step,
        training=replace(
            known,
            trainer=body.trainer,
            max_steps=body.max_steps,
            epochs=body.epochs,
            output_dir=body.output_dir,
            batch_size=body.batch_size,
            accumulation=body.accumulation,
            save_total_limit=body.save_total_limit,
            can_save=body.can_save,
            resumable=body.resumable,
            resumed=None,
            first_step=body.step,
            began=event.time,
            ended=None,
        ),
        recent={},
        progressed=event.time,
    )


def _length(state: RunState, event: ev.Event, body: ev.LengthGuessed) -> RunState:
    training = _get(state, event).training or Training()
    guessed = replace(training, max_steps=body.max_steps, length_by=body.evidence)
    return _process(state, event.pid, training=guessed)


def _training_ended(
    state: RunState, event: ev.Event, body: ev.TrainingEnded
) -> RunState:
    training = _get(state, event).training or Training()
    return _process(
        state,
        event.pid,
        training=replace(training, ended=event.time),
        progressed=event.time,
    )


def _model(state: RunState, event: ev.Event, body: ev.ModelDescribed) -> RunState:
    process = _get(state, event)
    return _process(
        state,
        event.pid,
        trainable=Trainable(
            body.model,
            body.trainable,
            body.parameters,
            body.dtypes,
            body.devices,
            body.linear_width,
            tuple(body.linear_names),
        ),
        ledger=replace(
            process.ledger,
            weights_trainable=body.weights_trainable,
            weights_frozen=body.weights_frozen,
        ),
    )


def _optimizer(
    state: RunState, event: ev.Event, body: ev.OptimizerDescribed
) -> RunState:
    training = _get(state, event).training or Training()
    return _process(
        state,
        event.pid,
        training=replace(
            training, optimizer=body.optimizer, implementation=body.implementation
        ),
    )


def _step_ended(state: RunState, event: ev.Event, body: ev.StepEnded) -> RunState:
    process = _get(state, event)
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
    return _process(
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
    known = _get(state, event).device or DeviceTimes()
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
    return _process(state, event.pid, device=device)


def _phase_ended(state: RunState, event: ev.Event, body: ev.PhaseEnded) -> RunState:
    process = _get(state, event)
    name = filed(shown(body.phase, body.detail)[0], process.phases)
    stat = add_duration(
        process.phases.get(name), body.seconds, max(1, body.count), 0, "host"
    )
    return _process(
        state,
        event.pid,
        phases=_put(process.phases, name, stat),
        training=resume.skipped(process.training, body),
        progressed=event.time,
    )


def _resumed(state: RunState, event: ev.Event, body: ev.TrainingResumed) -> RunState:
    training = _get(state, event).training or Training()
    resumed = resume.told(body, event.time)
    return _process(state, event.pid, training=replace(training, resumed=resumed))


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
    return _process(
        state,
        body.of,
        phase=now,
        step=body.step if body.step is not None else process.step,
        generations=generations,
        progressed=event.time if moved else process.progressed,
    )


def _metrics(state: RunState, event: ev.Event, body: ev.MetricsLogged) -> RunState:
    process = _get(state, event)
    recent = dict(process.recent)
    for name, value in body.values.items():
        recent[name] = thin((*recent.get(name, ()), (body.step, value)), LOGS)
    state = _process(
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


def _generation_began(
    state: RunState, event: ev.Event, body: ev.GenerationBegan
) -> RunState:
    process = _get(state, event)
    generation = Generation(
        id=body.id,
        prompt_tokens=body.prompt_tokens,
        max_new_tokens=body.max_new_tokens,
        batch=body.batch,
        step=body.step,
        began=event.time,
    )
    if body.began is not None:
        ago = max(0.0, event.mono - body.began)
        generation = replace(generation, began=event.time - ago)
    return _process(
        state,
        event.pid,
        generations=(*process.generations[-GENERATIONS + 1 :], generation),
        generation_count=process.generation_count + 1,
        progressed=event.time,
    )


def _generation_advanced(
    state: RunState, event: ev.Event, body: ev.GenerationAdvanced
) -> RunState:
    facts = {**vars(body), "seen": event.time}
    process = _get(state, event)
    return _process(
        state,
        event.pid,
        generations=_told(process.generations, body.id, facts),
        progressed=event.time,
    )


def _generation_ended(
    state: RunState, event: ev.Event, body: ev.GenerationEnded
) -> RunState:
    process = _get(state, event)
    generated = process.generated
    rows = body.rows if body.rows_at_cap is not None else None
    return _process(
        state,
        event.pid,
        generations=_told(process.generations, body.id, {**vars(body), "done": True}),
        generated=replace(
            generated,
            calls=generated.calls + 1,
            failed=generated.failed + body.failed,
            tokens=generated.tokens + body.tokens,
            seconds=generated.seconds + body.seconds,
            capped=generated.capped + (body.hit_cap is not None),
            at_cap=generated.at_cap + bool(body.hit_cap),
            rows=generated.rows + (rows or 0),
            rows_at_cap=generated.rows_at_cap + (body.rows_at_cap or 0),
        ),
        progressed=event.time,
    )


def _told(
    generations: tuple[Generation, ...], number: int, facts: Mapping[str, Any]
) -> tuple[Generation, ...]:
    """`generations` where number `number` has what `facts` say of it."""
    known = {name: value for name, value in facts.items() if value is not None}
    return tuple(replace(g, **known) if g.id == number else g for g in generations)


def _memory(state: RunState, event: ev.Event, body: ev.MemorySampled) -> RunState:
    process = _get(state, event)
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
    return _process(state, event.pid, memory=memory, levels=levels)


def _forecast(state: RunState, event: ev.Event, body: ev.Forecast) -> RunState:
    known = _get(state, event).forecasts
    told = forecast.told(known, body, event.time)
    return _process(state, event.pid, forecasts=told)


def _forecast_met(state: RunState, event: ev.Event, body: ev.ForecastMet) -> RunState:
    known = _get(state, event).forecasts
    met = forecast.met(known, body, event.time)
    return _process(state, event.pid, forecasts=met)


def _ledger(state: RunState, event: ev.Event, body: ev.LedgerMeasured) -> RunState:
    return _process(
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


def _exception(state: RunState, event: ev.Event, body: ev.ExceptionRaised) -> RunState:
    return _process(
        state,
        event.pid,
        error=body.message,
        error_kind=body.kind,
        error_phase=body.phase,
        traceback=body.traceback,
    )


def _probe_failed(state: RunState, event: ev.Event, body: ev.ProbeFailed) -> RunState:
    errors = _get(state, event).probe_errors
    line = f"{body.probe}: {body.error}"
    return _process(state, event.pid, probe_errors=(*errors[-PROBE_ERRORS + 1 :], line))


def _unseen(state: RunState, event: ev.Event, body: ev.PartUnseen) -> RunState:
    unseen = _put(_get(state, event).unseen, body.what, body.why)
    return _process(state, event.pid, unseen=unseen)


def _probe_counted(state: RunState, event: ev.Event, body: ev.ProbeCounted) -> RunState:
    return _process(
        state,
        event.pid,
        events=body.events,
        dropped=body.dropped,
        step_cost_s=body.step_cost_s,
    )


# --- warnings, findings, checkpoints, commands, host ---


def _warning(state: RunState, event: ev.Event, body: ev.WarningTriaged) -> RunState:
    if body.severity == "not_a_warning":
        return state
    before = state.warnings.get(body.key)
    changed = before.changed if before else None
    if before and before.severity != body.severity:
        changed = event.time
    warning = TriagedWarning(
        key=body.key,
        rule=body.rule,
        severity=body.severity,
        kind=body.kind,
        text=body.text,
        why=body.why,
        do=body.do,
        count=body.count,
        first_step=body.first_step,
        last_step=body.last_step,
        phase=body.phase,
        ranks=tuple(body.ranks),
        source=body.source,
        origin=body.origin,
        evidence=body.evidence,
        first_seen=body.first_seen or event.time,
        last_seen=event.time,
        was=body.was,
        by=body.by,
        new=body.new,
        good_run=body.good_run,
        logger=body.logger,
        changed=changed,
    )
    return replace(state, warnings=_put(state.warnings, body.key, warning))


def _finding_raised(
    state: RunState, event: ev.Event, body: ev.FindingRaised
) -> RunState:
    finding = Finding(
        body.rule,
        body.severity,
        body.kind,
        body.summary,
        tuple(body.evidence),
        body.do,
        event.time,
        ended=body.ended,
    )
    return replace(state, findings=_put(state.findings, body.rule, finding))


def _finding_cleared(
    state: RunState, event: ev.Event, body: ev.FindingCleared
) -> RunState:
    finding = state.findings.get(body.rule)
    if finding is None:
        return state
    cleared = replace(finding, cleared=event.time)
    return replace(state, findings=_put(state.findings, body.rule, cleared))


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
    return replace(state, checkpoints=_put(state.checkpoints, body.path, checkpoint))


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
    return replace(state, checkpoints=_put(state.checkpoints, body.path, checkpoint))


def _command_asked(state: RunState, event: ev.Event, body: ev.CommandAsked) -> RunState:
    rung = body.detail if body.command == "abort" else ""
    command = Command(body.id, body.command, event.time, None, body.detail, rung=rung)
    return replace(state, commands=(*state.commands[-COMMANDS + 1 :], command))


def _command_changed(
    state: RunState,
    event: ev.Event,
    body: ev.CommandProgressed | ev.CommandFinished,
) -> RunState:
    def changed(command: Command) -> Command:
        if command.id != body.id:
            return command
        if isinstance(body, ev.CommandProgressed):
            return replace(
                command,
                detail=body.detail,
                rung=body.rung or command.rung,
                saved=body.saved or command.saved,
            )
        return replace(
            command,
            outcome=body.outcome,
            detail=body.detail,
            path=body.path,
            finished=event.time,
        )

    return replace(state, commands=tuple(changed(c) for c in state.commands))


def _host(state: RunState, event: ev.Event, body: ev.HostSampled) -> RunState:
    return replace(state, host=Host(**vars(body), sampled=event.time))


def _usual(state: RunState, event: ev.Event, body: ev.UsualRecalled) -> RunState:
    return replace(state, usual=unpacked(body.phases), usual_run=body.run)


def _signals(state: RunState, event: ev.Event, body: ev.SignalsSampled) -> RunState:
    return replace(state, signals=heard(state.signals, body, event.time))


def _refused(state: RunState, event: ev.Event, body: ev.LinesRefused) -> RunState:
    return replace(state, refused_lines=body.malformed + body.oversized + body.foreign)


_FOLDS: dict[type[Any], Fold] = {
    ev.RunStarted: _run_started,
    ev.ChildSpawned: _child_spawned,
    ev.SupervisorStarted: _supervisor_started,
    ev.RunEnded: _run_ended,
    ev.ProcessJoined: _joined,
    ev.RankIdentified: _rank_identified,
    ev.ProcessLeft: _left,
    ev.LibraryImported: _imported,
    ev.TrainingBegan: _training_began,
    ev.LengthGuessed: _length,
    ev.TrainingResumed: _resumed,
    ev.TrainingEnded: _training_ended,
    ev.ModelDescribed: _model,
    ev.OptimizerDescribed: _optimizer,
    ev.StepEnded: _step_ended,
    ev.DeviceTimed: _device_timed,
    ev.PhaseEnded: _phase_ended,
    ev.PhaseObserved: _phase_observed,
    ev.MetricsLogged: _metrics,
    ev.GenerationBegan: _generation_began,
    ev.GenerationAdvanced: _generation_advanced,
    ev.GenerationEnded: _generation_ended,
    ev.MemorySampled: _memory,
    ev.LedgerMeasured: _ledger,
    ev.Forecast: _forecast,
    ev.ForecastMet: _forecast_met,
    ev.ExceptionRaised: _exception,
    ev.ProbeFailed: _probe_failed,
    ev.PartUnseen: _unseen,
    ev.ProbeCounted: _probe_counted,
    ev.WarningTriaged: _warning,
    ev.FindingRaised: _finding_raised,
    ev.FindingCleared: _finding_cleared,
    ev.RunRenamed: _run_renamed,
    ev.NoticeGiven: notice.given,
    ev.CheckpointSaved: _checkpoint_saved,
    ev.CheckpointSeen: _checkpoint_seen,
    ev.CommandAsked: _command_asked,
    ev.CommandProgressed: _command_changed,
    ev.CommandFinished: _command_changed,
    ev.HostSampled: _host,
    ev.SignalsSampled: _signals,
    ev.UsualRecalled: _usual,
    ev.LinesRefused: _refused,
}
