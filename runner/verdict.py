"""
The headline: one state, two facts, an age.

`judge` is pure and cheap, so every reader computes it for the moment it shows.
Progress beats everything; without it the causes are asked in turn, and the first
that is met by the signals gives state, kind, facts and what to do. It says no more
than the state shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trainwatch.runner import failures, usual
from trainwatch.runner.causes.busy import busy, compiling
from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.deadlock import deadlock
from trainwatch.runner.causes.device import device
from trainwatch.runner.causes.file_lock import file_lock
from trainwatch.runner.causes.grown import grown
from trainwatch.runner.causes.idle import asleep, idle
from trainwatch.runner.causes.keyboard import keyboard
from trainwatch.runner.causes.network import network
from trainwatch.runner.causes.numeric import failing
from trainwatch.runner.causes.pipe import named_pipe, pipe_full
from trainwatch.runner.causes.ranks import lost_rank, mismatch, waits_for_rank
from trainwatch.runner.causes.repeating import repeating
from trainwatch.runner.causes.sight import QUIET_S, Sight, sights
from trainwatch.runner.causes.stopped import stopped
from trainwatch.runner.causes.swapping import swapping
from trainwatch.runner.causes.worker import dead_worker, hung_worker
from trainwatch.runner.memory_death import RULES as DEATHS
from trainwatch.runner.progress import left_s, so_far, speed, words
from trainwatch.runner.state import Finding, Process, RunState
from trainwatch.runner.text import duration
from trainwatch.runner.unseen import log_only, watched_outside

VERDICTS = (
    "starting",
    "working",
    "slow",
    "waiting",
    "stuck",
    "failing",
    "finished",
    "failed",
    "aborted",
    "killed",
    "lost",
)
CAUSES: tuple[Callable[[Sight], Cause | None], ...] = (
    stopped,
    keyboard,
    file_lock,
    lost_rank,
    waits_for_rank,
    mismatch,
    network,
    pipe_full,
    named_pipe,
    hung_worker,
    deadlock,
    dead_worker,
    asleep,
    idle,
    compiling,
    failing,
    repeating,
    swapping,
    device,
    grown,
    busy,
)
"""The surest first; where none is met the phase and its usual time are told."""
BY_IDLENESS = (
    network,
    pipe_full,
    named_pipe,
    hung_worker,
    deadlock,
    dead_worker,
    asleep,
    idle,
)
"""Not asked where it may be a device that is waited for."""


@dataclass(frozen=True)
class Verdict:
    state: str = "starting"
    kind: str | None = None
    evidence_status: str | None = None
    facts: tuple[str, str] = ("", "")
    since: float | None = None
    age_s: float | None = None
    """Seconds since the last progress; after the end, since the end."""
    do: str = ""
    """What helps, where that is known."""


def judge(state: RunState, now: float) -> Verdict:
    """The verdict on `state` at wall clock `now`."""
    if state.over:
        return _ended(state, now)
    sight = sights(state, now)
    for look in CAUSES:
        if look in BY_IDLENESS and sight.on_device:
            continue
        cause = look(sight)
        if cause is not None:
            return _told(cause, sight)
    process = state.lead
    if process is None or not process.armed:
        return _unarmed(state, now)
    phase = process.phase
    quiet = sight.quiet
    activity = _activity(state, process, now)
    if quiet > sight.patience and not sight.prints(QUIET_S):
        usually = _usual_text(state, process)
        return Verdict(
            "slow",
            None,
            "possible",
            (
                sight.stopped_for(),
                usually or "whether it is slow or stuck, these signals cannot tell",
            ),
            sight.progressed,
            quiet,
        )
    how_fast = ""
    if left_s(phase, now) is not None and not _faster_than_looks(process):
        how_fast = f"{speed(phase, now)}, "
    if process.steps.count == 0:
        second = "no step has ended yet"
        if process.training is not None and process.training.trainer:
            second = f"{process.training.trainer}, no step has ended yet"
        return Verdict(
            "starting",
            facts=(activity, how_fast + second),
            since=phase.since,
            age_s=quiet,
        )
    done = f"{process.step or process.steps.count}"
    if process.training and process.training.max_steps:
        done += f" of {process.training.max_steps}"
    last = process.steps.last_ended
    ago = f", last one {duration(now - last)} ago" if last else ""
    return Verdict(
        "working",
        facts=(activity, f"{how_fast}step {done} done{ago}"),
        since=phase.since,
        age_s=quiet,
    )


def _activity(state: RunState, process: Process, now: float) -> str:
    """What the process does now and how long that usually takes."""
    phase = process.phase
    if _faster_than_looks(process):
        each = process.steps.last_s or 0.0
        return f"stepping, {duration(each)} a step"
    what = f"{phase.name} {phase.detail}".strip()
    if phase.name == "data" and phase.detail:
        what = phase.detail
    left = left_s(phase, now)
    if left is not None:
        return f"{what} {so_far(phase)}, {duration(left)} left"
    text = f"{what} for {duration(max(0.0, now - phase.since))}"
    if phase.tokens is None or phase.name in ("generate", "prefill", "decode"):
        text = ", ".join([text, *words(phase, now)])
    usually = _usual_text(state, process)
    return f"{text}, {usually}" if usually else text


def _faster_than_looks(process: Process) -> bool:
    """Its phases change faster than they are looked at."""
    stepped = process.steps.last_ended
    return stepped is not None and stepped >= process.phase.seen


def _usual_text(state: RunState, process: Process) -> str | None:
    seconds, where = usual.seconds(state, process, process.phase.name)
    return None if seconds is None else f"usual {duration(seconds)} {where}".rstrip()


def _told(cause: Cause, sight: Sight) -> Verdict:
    return Verdict(
        cause.state,
        cause.kind or None,
        cause.evidence,
        cause.facts,
        cause.since if cause.since is not None else sight.progressed,
        sight.quiet,
        cause.do,
    )


def _unarmed(state: RunState, now: float) -> Verdict:
    started = state.run.started or now
    age = now - started
    if state.run.status == "starting":
        return Verdict(
            "starting", facts=("launching the command", ""), since=started, age_s=age
        )
    reason = log_only(state)
    if reason is None and age < QUIET_S:
        return Verdict(
            "starting",
            facts=(f"running for {duration(age)}", "no probe has connected yet"),
            since=started,
            age_s=age,
        )
    mode = f"log-only mode: {reason or 'no probe connected'}; {watched_outside(state)}"
    return Verdict(
        "working",
        evidence_status="possible",
        facts=(f"the process has been running for {duration(age)}", mode),
        since=started,
        age_s=age,
    )


def _ended(state: RunState, now: float) -> Verdict:
    run = state.run
    took = duration(run.ended - run.started) if run.ended and run.started else "?"
    process = state.lead
    step = None
    if process and process.step is not None:
        step = f"step {process.step}"
        if process.training and process.training.max_steps:
            step += f" of {process.training.max_steps}"
    blind = log_only(state)
    where = step or (f"log-only mode: {blind}" if blind else "no step was seen")
    if run.status == "lost":
        facts = (run.detail or "its end was not seen", where)
    elif run.signal is not None:
        phase = process.phase.name if process else "an unknown phase"
        facts = (f"ended by signal {run.signal} in {phase} after {took}", where)
    else:
        code = f"exit code {run.exit_code} after {took}"
        error = _error(process) if process and run.status == "failed" else None
        second = error or run.detail
        facts = (f"{code}, {where}" if second else code, second or where)
    if run.status == "aborted" and state.commands:
        facts = (facts[0], state.commands[-1].detail or where)
    death = next((f for f in map(state.findings.get, DEATHS) if f is not None), None)
    if death is not None:
        facts = (facts[0], death.summary)
    else:
        death = reason(state)
        if death is not None:
            facts = (facts[0], f"{death.summary}. {death.do}")
    trouble = _trouble(process, run.status) if death is None else failures.NONE
    if trouble.means:
        facts = (facts[0], f"{facts[1]}: {trouble.means}")
    return Verdict(
        run.status,
        death.kind if death is not None else trouble.kind or None,
        "established" if run.status != "lost" else "possible",
        facts,
        run.ended,
        now - run.ended if run.ended else None,
        trouble.do,
    )


def _trouble(process: Process | None, status: str) -> failures.Failure:
    """The kind of trouble behind the exception that ended it."""
    if process is None or status != "failed" or process.error.startswith("in thread "):
        return failures.NONE
    return failures.failure(process.error_kind, process.error, process.traceback)


def reason(state: RunState) -> Finding | None:
    """The finding that says why the run failed."""
    if state.run.status != "failed":
        return None
    found = [f for f in state.findings.values() if f.ended and f.cleared is None]
    return max(found, key=lambda finding: finding.since, default=None)


def _error(process: Process) -> str | None:
    kind = process.error_kind
    if not kind:
        return None
    first = process.error.strip().partition("\n")[0][:200]
    if kind in first.partition(": ")[0]:
        return first
    return f"{kind}: {first}" if first else kind
