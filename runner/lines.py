"""One plain line per event, for terminals that are not one and for logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import forecast, resume, salvage
from trainwatch.runner.phases import shown
from trainwatch.runner.progress import UNITS, words
from trainwatch.runner.state import RunState
from trainwatch.runner.text import duration, plain, size

LONG_PHASE_S = 2.0


def describe(event: ev.Event, state: RunState) -> str | None:
    """
    The line for `event`, None where a person need not read one.

    Args:
        state: the run's state after the event.
    """
    if event.body is None:
        return None
    writer = _LINES.get(type(event.body))
    text = writer(event.body, state, event) if writer else None
    if text is None:
        return None
    rank = ""
    if event.rank is not None and len(state.ranks) > 1:
        rank = f"rank {event.rank}: "
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    return f"{clock} {rank}{' '.join(plain(text).splitlines())}"


def _of(step: int | None, state: RunState, pid: int) -> str:
    process = state.processes.get(pid)
    training = process.training if process else None
    total = f"/{training.max_steps}" if training and training.max_steps else ""
    return f"{step}{total}"


def _step(body: ev.StepEnded, state: RunState, event: ev.Event) -> str:
    shares = ", ".join(
        f"{name} {duration(pair[1])}"
        for name, pair in body.phases.items()
        if len(pair) == 2 and body.seconds and pair[1] / body.seconds >= 0.02
    )
    each = body.seconds / max(1, body.count)
    many = f" ({body.count} steps)" if body.count > 1 else ""
    skipped = ", skipped by the gradient scaler" if body.skipped else ""
    return (
        f"step {_of(body.step, state, event.pid)}{many}  {duration(each)}  "
        f"{shares}{skipped}"
    )


def _metrics(body: ev.MetricsLogged, state: RunState, event: ev.Event) -> str:
    values = "  ".join(f"{name} {value:.4g}" for name, value in body.values.items())
    return f"metrics at step {_of(body.step, state, event.pid)}  {values}"


def _phase_ended(body: ev.PhaseEnded, state: RunState, event: ev.Event) -> str | None:
    if body.seconds < LONG_PHASE_S and body.phase not in ("save", "skip"):
        return None
    what = " ".join(shown(body.phase, body.detail)).strip()
    extra = f", {body.count:,} times" if body.count > 1 else ""
    if body.bytes:
        extra = f", {size(body.bytes)}"
    elif body.rows:
        extra = f", {body.rows:,} {UNITS.get(body.phase, 'rows')}"
    return f"{what}  {duration(body.seconds)}{extra}{' failed' if body.failed else ''}"


def _observed(body: ev.PhaseObserved, state: RunState, event: ev.Event) -> str | None:
    age = event.time - body.since
    if age < LONG_PHASE_S or age % 10 > 1.1 or body.phase in ("step", "start"):
        return None
    what = " ".join(shown(body.phase, body.detail)).strip()
    parts = [f"{what} for {duration(age)}"]
    process = state.processes.get(body.of)
    generating = body.phase in ("generate", "prefill", "decode")
    if process is not None and (generating or body.tokens is None):
        parts += words(process.phase, event.time)
    return ", ".join(parts)


def _generated(body: ev.GenerationEnded, state: RunState, event: ev.Event) -> str:
    cap = f" of at most {body.max_new_tokens:,}" if body.max_new_tokens else ""
    rate = f", {body.tokens_per_s:.1f} tok/s" if body.tokens_per_s else ""
    end = ", failed" if body.failed else ", hit the cap" if body.hit_cap else ""
    cache = ", without a cache" if body.use_cache is False else ""
    return (
        f"generate  first token {duration(body.ttft_s)}, "
        f"{body.tokens:,}{cap} tokens{rate}{end}{cache}"
    )


def _warning(body: ev.WarningTriaged, state: RunState, event: ev.Event) -> str | None:
    if body.severity == "not_a_warning" or body.source == "metrics":
        return None  # What the metrics show is told as a finding.
    first = body.text.strip().splitlines()[0] if body.text.strip() else body.rule
    known = state.warnings.get(body.key)
    if known is not None and known.changed == event.time:
        return f"warning, now {body.severity}: {first} ({body.evidence})"
    if body.count > 1:
        return None
    why = f" ({body.why})" if body.why and body.severity != "harmless" else ""
    new = "new, " if body.new else ""
    return f"warning, {new}{body.severity}: {first}{why}"


def _finding(body: ev.FindingRaised, state: RunState, event: ev.Event) -> str:
    shown = f" ({'; '.join(body.evidence)})" if body.evidence else ""
    what = "why it ended" if body.ended else f"finding, {body.severity}"
    do = f". Do: {body.do}" if body.do else ""
    return f"{what}: {body.summary}{shown}{do}"


def _forecast(body: ev.Forecast, state: RunState, event: ev.Event) -> str | None:
    told = state.processes[event.pid].forecasts[-1]
    verdict = forecast.fits(told)
    if verdict == "yes" or (verdict == "cannot tell" and told.needs is not None):
        return None
    if verdict == "cannot tell":
        return f"forecast: {forecast.sentence(told)}"
    word = "does not fit" if verdict == "no" else "fits, with little room"
    parts = [f"forecast, {word}: {forecast.sentence(told)}", forecast.advice(told)]
    return "; ".join(part for part in parts if part)


def _forecast_met(body: ev.ForecastMet, state: RunState, event: ev.Event) -> str | None:
    for told in state.processes[event.pid].forecasts:
        if (told.phase, told.step) == (body.phase, body.step):
            alarmed = forecast.fits(told) in ("no", "tight")
            ran = f"{forecast.name(told)} ran: {forecast.outcome(told)}"
            return ran if alarmed else None
    return None


def _model(body: ev.ModelDescribed, state: RunState, event: ev.Event) -> str:
    percent = 100 * body.trainable / body.parameters if body.parameters else 0.0
    return (
        f"model {body.model}: {body.trainable:,} of {body.parameters:,} parameters "
        f"trainable ({percent:.4f} %)"
    )


def _seen(body: ev.CheckpointSeen, state: RunState, event: ev.Event) -> str:
    whole = {True: "complete", False: "not complete", None: "cannot tell if complete"}
    if body.detail == salvage.REMOVED:
        return f"checkpoint {body.path} removed"
    detail = f" ({body.detail})" if body.detail else ""
    return f"checkpoint {body.path}  {size(body.bytes)}, {whole[body.complete]}{detail}"


def _resumed(body: ev.TrainingResumed, state: RunState, event: ev.Event) -> str | None:
    process = state.processes.get(event.pid)
    return None if process is None else resume.line(process, event.time) or None


def _notice(body: ev.NoticeGiven, state: RunState, event: ev.Event) -> str | None:
    if body.error:
        return f"the notify command failed ({body.title}): {body.error}"
    if body.kind not in ("stuck", "failing", "waiting"):
        return None  # Told by a line of its own.
    return f"{body.kind}: {body.text}"


def _ended(body: ev.RunEnded, state: RunState, event: ev.Event) -> str:
    run = state.run
    took = ""
    if run.ended and run.started:
        took = f" after {duration(run.ended - run.started)}"
    code = "exit code unknown" if body.exit_code is None else f"exit {body.exit_code}"
    signal = f", signal {body.signal}" if body.signal is not None else ""
    detail = f": {body.detail}" if body.detail else ""
    on = salvage.resume_line(state)
    said = f"run {body.status}{took} ({code}{signal}){detail}"
    return f"{said}; {on}" if on else said


_LINES: dict[type[Any], Callable[[Any, RunState, ev.Event], str | None]] = {
    ev.RunStarted: lambda b, *_: f"run {b.id} ({b.name}) started in {b.cwd}",
    ev.ChildSpawned: lambda b, *_: f"process {b.child} runs",
    ev.SupervisorStarted: lambda b, *_: (
        f"watching again: {b.detail}" if b.takeover else None
    ),
    ev.TrainingBegan: lambda b, *_: (
        f"training begins: {b.trainer}"
        + (f", {b.max_steps} steps" if b.max_steps else "")
        + (f", resumed at step {b.step}" if b.step else "")
    ),
    ev.TrainingResumed: _resumed,
    ev.ModelDescribed: _model,
    ev.Forecast: _forecast,
    ev.ForecastMet: _forecast_met,
    ev.StepEnded: _step,
    ev.MetricsLogged: _metrics,
    ev.PhaseEnded: _phase_ended,
    ev.PhaseObserved: _observed,
    ev.GenerationEnded: _generated,
    ev.WarningTriaged: _warning,
    ev.ExceptionRaised: lambda b, *_: f"{b.kind} in {b.phase or '?'}: {b.message}",
    ev.CheckpointSeen: _seen,
    ev.FindingRaised: _finding,
    ev.NoticeGiven: _notice,
    ev.FindingCleared: lambda b, *_: f"finding over: {b.rule} ({b.reason})",
    ev.CommandAsked: lambda b, *_: f"{b.command} asked {b.detail}".rstrip(),
    ev.CommandProgressed: lambda b, *_: f"… {b.detail}",
    ev.CommandFinished: lambda b, *_: f"{b.command} {b.outcome}: {b.detail}",
    ev.ProbeFailed: lambda b, *_: f"probe {b.probe} switched itself off: {b.error}",
    ev.RunEnded: _ended,
}
