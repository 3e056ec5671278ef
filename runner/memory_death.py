"""
Why a run died, where memory is the reason or may be.

Pure: the run's state at its end, how it ended, and what the kernel counted go in; one
finding comes out, or none. It says no more than was seen: a signal 9 with a counter
that rose is the kernel's work, one without is somebody's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from trainwatch.probes import events as ev
from trainwatch.runner.forecast import advice, sentence
from trainwatch.runner.oom_kills import MACHINE, Rise
from trainwatch.runner.phases import in_step
from trainwatch.runner.refusal import Refusal, refusal
from trainwatch.runner.state import Forecast, Memory, Process, RunState
from trainwatch.runner.text import duration, size

DEATH = "memory.death"
KILLED = "killed.signal"
RULES = (DEATH, KILLED)
"""At most one of them is found at the end of a run."""
KILL_CODE = 137
"""What a shell makes of signal 9."""

ADDRESSES = "RLIMIT_AS"
"""What a CPU's allocation meets first where it is set; by that name in `lines`."""

DO_BY_PHASE = {
    "optimizer": "Fewer open layers, an 8-bit optimizer, or LoRA.",
    "load": "Load in the type that is trained in, or a smaller or quantized model.",
    "evaluate": "A smaller evaluation batch, and no logits kept: "
    "preprocess_logits_for_metrics, eval_accumulation_steps.",
    "generate": "Fewer new tokens or rows at once.",
    "save": "Less to gather at once: sharded saves, or more RAM.",
    "data": "Fewer workers (num_proc), smaller batches of the map, or streaming.",
}
COPYING = ("foreach", "for-loop")
FUSED = "A fused optimizer needs no temporary copies. Then:"
DO = (
    "A smaller batch with more accumulation, shorter sequences, or gradient "
    "checkpointing."
)
JETSAM = (
    "Look at the system's own words: log show --last 15m --predicate 'eventMessage "
    'CONTAINS "memorystatus: killing"\''
)


@dataclass(frozen=True)
class Need:
    """What was needed of what there was, in bytes; `at_least`: more would follow."""

    needed: int | None = None
    limit: int | None = None
    limit_by: str = ""
    at_least: bool = False
    by: str = ""


def memory_death(
    state: RunState,
    status: str,
    code: int | None,
    rise: Rise,
    system: str = sys.platform,
) -> ev.FindingRaised | None:
    """
    The finding on the end of a run, None where nothing points at memory.

    Args:
        state: as it stood at the end.
        status: how the run ended; one that finished or was aborted has no finding.
        code: its exit code as a shell would give it, 128+n for a signal.
        rise: what the kernel counted meanwhile.
        system: `sys.platform`.
    """
    if status not in ("failed", "killed", "lost"):
        return None
    told = _refused(state)
    if told is not None:
        return _refused_finding(state, *told)
    if status == "lost":
        return None
    killed = code == KILL_CODE
    if rise.any and (killed or _lost(state)):
        return _killed_finding(state, rise)
    if not killed:
        return None
    return _signal_finding(state, rise, system)


# --- an allocation was refused ------------------------------------------------


def _refused(state: RunState) -> tuple[Process | None, Refusal] | None:
    """Who died of a refused allocation; the console stands in where nobody said it."""
    for process in (*state.ranks, *state.processes.values()):
        if process.error_kind:
            text = f"{process.error_kind}: {process.error}"
            found = refusal(text) or refusal(process.traceback)
            if found is not None:
                return process, found
    if any(process.error_kind for process in state.processes.values()):
        return None  # It died of something else.
    said = [w for w in state.warnings.values() if w.rule.startswith("memory.")]
    for warning in sorted(said, key=lambda w: -w.last_seen):
        found = refusal(warning.text)
        if found is not None:
            return state.lead, found
    return None


def _refused_finding(
    state: RunState, process: Process | None, found: Refusal
) -> ev.FindingRaised:
    phase = (process.error_phase or process.phase.name) if process else ""
    need = _need(found, process, phase)
    name = f"{found.backend} out of memory" if found.backend else "out of memory"
    return ev.FindingRaised(
        rule=DEATH,
        severity="serious",
        kind="resource",
        summary=f"{name}{_where(process, phase)}{_numbers(need)}",
        evidence=[*_said(found), *_by(need)],
        do=_do(process, phase),
    )


def _said(found: Refusal) -> list[str]:
    """The numbers of the message, one sentence each."""
    lines = []
    if found.requested is not None:
        lines.append(f"asked for {size(found.requested)}")
    if found.allocated is not None:
        lines.append(f"live tensors {size(found.allocated)}")
    if found.reserved is not None:
        lines.append(f"reserved by torch {size(found.reserved)}")
    if found.other:
        lines.append(f"other allocations on the device {size(found.other)}")
    if found.free is not None and found.total is not None:
        lines.append(f"free {size(found.free)} of {size(found.total)}")
    if found.limit is not None:
        lines.append(f"torch's own limit {size(found.limit)}")
    if (
        found.requested is not None
        and found.reserved is not None
        and found.allocated is not None
        and found.reserved - found.allocated > found.requested
    ):
        pieces = size(found.reserved - found.allocated)
        lines.append(f"{pieces} were reserved and unused, but in pieces")
    if found.backend == "Metal":
        lines.append("Metal gave a command up, which raises nothing")
    return lines or ["the message has no numbers"]


# --- a process was killed -----------------------------------------------------


def _fell(state: RunState) -> Process | None:
    """A process that is gone without a word, the lowest rank first."""
    for process in (*state.ranks, *state.processes.values()):
        if process.left_reason in ("hang-up", "the run ended"):
            return process
    return None


def _lost(state: RunState) -> bool:
    """Whether some process of the run is gone without a word."""
    if _fell(state) is not None:
        return True
    # What a DataLoader says of its worker.
    return any("signal: Killed" in p.error for p in state.processes.values())


def _killed_finding(state: RunState, rise: Rise) -> ev.FindingRaised:
    process = _fell(state) or state.lead
    phase = process.phase.name if process else ""
    need = _need(None, process, phase)
    if need.needed is None:
        need = Need(None, state.host.ram_limit or state.host.ram_total)
    own = rise.own > 0
    verb = "killed" if own else "killed, most likely by the kernel,"
    evidence = [
        f"oom_kill of {_place(rise)} rose by {rise.own or rise.above or rise.machine} "
        "during the run" + ("" if own else ", which other processes share"),
        *_seen(state, process),
        *_by(need),
    ]
    numbers = _numbers(need)
    if need.needed is None:
        numbers = f": out of memory{numbers.replace(':', ',', 1)}"
    return ev.FindingRaised(
        rule=DEATH,
        severity="serious",
        kind="resource",
        summary=f"{verb}{_where(process, phase)}{numbers}",
        evidence=evidence,
        do=_do(process, phase),
    )


def _signal_finding(state: RunState, rise: Rise, system: str) -> ev.FindingRaised:
    process = _fell(state) or state.lead
    phase = process.phase.name if process else ""
    where = _where(process, phase)
    if system == "darwin":
        return ev.FindingRaised(
            rule=DEATH,
            severity="serious",
            kind="resource",
            summary=f"killed{where}: possibly by macOS for memory (jetsam)",
            evidence=[
                "signal 9, and macOS counts no such kills",
                *_seen(state, process),
                *_by(_need(None, process, phase)),
            ],
            do=JETSAM,
        )
    seen = (
        "no OOM counter of the kernel rose during the run"
        if rise.readable
        else "no OOM counter of the kernel could be read"
    )
    return ev.FindingRaised(
        rule=KILLED,
        severity="attention",
        kind="shell" if rise.readable else "resource",
        summary=f"killed{where} by signal 9: "
        + (
            "by somebody, not by the kernel for memory"
            if rise.readable
            else "by whom cannot be told"
        ),
        evidence=[seen, *_seen(state, process)],
        do="Ask who sent it: a person, a job's time limit, a container's end."
        if rise.readable
        else "Look at dmesg for `Killed process`.",
    )


def _place(rise: Rise) -> str:
    return rise.where if rise.where == MACHINE else f"/{rise.where}"


def _seen(state: RunState, process: Process | None) -> list[str]:
    """What memory was when it was last looked at."""
    lines = []
    memory = process.memory if process is not None else Memory()
    held = memory.allocated if memory.allocated is not None else memory.rss
    if memory.sampled is not None and held is not None:
        ended = (process.left if process else None) or state.last_event
        ago = duration((ended or memory.sampled) - memory.sampled)
        lines.append(f"{size(held)} held when last seen, {ago} before its end")
    host = state.host
    if host.tree_rss is not None:
        of = host.ram_limit or host.ram_total
        limit = f" of {size(of)}" if of is not None else ""
        lines.append(f"{size(host.tree_rss)}{limit} in RAM by all its processes")
    return lines


# --- words --------------------------------------------------------------------


def _need(found: Refusal | None, process: Process | None, phase: str) -> Need:
    """
    What was needed: as it had been forecast for this phase of this step, else at least
    what the message adds up to.
    """
    said = Need()
    if found is not None:
        said = Need(found.needed, found.ceiling, at_least=True)
        addresses = process.memory.lines.get(ADDRESSES) if process else None
        if found.backend == "CPU" and addresses is not None:
            said = replace(said, limit=addresses, limit_by=ADDRESSES)
    forecast = _forecast(process, phase)
    if forecast is None or forecast.needs is None or forecast.held is None:
        return said
    needed, by = forecast.held + forecast.needs, f"forecast: {sentence(forecast)}"
    if said.limit is not None and (said.needed or 0) > needed:
        return replace(said, by=by)
    limit = forecast.limit if forecast.limit is not None else said.limit
    return Need(needed, limit, forecast.limit_by, by=by)


def _forecast(process: Process | None, phase: str) -> Forecast | None:
    """What was forecast of the phase that a process died in, and not survived."""
    if process is None:
        return None
    step = (process.step or 0) + 1
    for forecast in reversed(process.forecasts):
        if (forecast.phase, forecast.step) == (phase, step) and forecast.met is None:
            return forecast
    return None


def _do(process: Process | None, phase: str) -> str:
    """What would help: as computed with the forecast, else by the phase."""
    general = DO_BY_PHASE.get(phase, DO)
    forecast = _forecast(process, phase)
    said = advice(forecast) if forecast is not None else ""
    if said:
        return f"{said}. {general}"
    training = process.training if process is not None else None
    copies = training is not None and training.implementation in COPYING
    return f"{FUSED} {general}" if phase == "optimizer" and copies else general


def _by(need: Need) -> list[str]:
    return [need.by] if need.by else []


def _where(process: Process | None, phase: str) -> str:
    """ " in optimizer, step 1", " in evaluate after step 20"; "" where not seen."""
    if not phase or process is None:
        return ""
    step = process.step
    if in_step(phase, step) or phase == "step":
        return f" in {phase}, step {(step or 0) + 1:,}"
    return f" in {phase}" + (f" after step {step:,}" if step else "")


def _numbers(need: Need) -> str:
    """ ": needed at least 25.4, limit 23.6 GB" with what is known of it."""
    least = "at least " if need.at_least else ""
    by = f" ({need.limit_by})" if need.limit_by else ""
    if need.needed is not None and need.limit is not None:
        limit, unit = size(need.limit).rsplit(" ", 1)
        needed, other = size(need.needed).rsplit(" ", 1)
        shown = needed if unit == other else f"{needed} {other}"
        if shown == limit and need.needed > need.limit:
            over = size(need.needed - need.limit)
            return f": needed {least}{over} more than the limit of {limit} {unit}{by}"
        return f": needed {least}{shown}, limit {limit} {unit}{by}"
    if need.needed is not None:
        return f": needed {least}{size(need.needed)}"
    if need.limit is not None:
        return f": the limit is {size(need.limit)}{by}"
    return ""
