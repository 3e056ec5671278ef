"""
Why a run died, where memory is the reason or may be.

Pure: the run's state at its end, how it ended, and what the kernel counted go in; one
finding comes out, or none. It says no more than was seen: a signal 9 with a counter
that rose is the kernel's work, one without is somebody's.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from trainwatch.probes import events as ev
from trainwatch.runner.need import advise, need_of, numbers, where
from trainwatch.runner.oom_kills import MACHINE, Rise
from trainwatch.runner.refusal import Refusal, refusal
from trainwatch.runner.state import Memory, Process, RunState
from trainwatch.runner.text import duration, size

DEATH = "memory.death"
KILLED = "killed.signal"
RULES = (DEATH, KILLED)
"""At most one of them is found at the end of a run."""
KILL_CODE = 137
"""What a shell makes of signal 9."""

JETSAM = (
    "Look at the system's own words: log show --last 15m --predicate 'eventMessage "
    'CONTAINS "memorystatus: killing"\''
)


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
    near = rise.own + rise.above > 0
    if (rise.any and killed) or (near and _lost(state)):
        return _killed_finding(state, rise)
    return _signal_finding(state, rise, system) if killed else None


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
    need = need_of(found, process, phase)
    name = f"{found.backend} out of memory" if found.backend else "out of memory"
    return ev.FindingRaised(
        rule=DEATH,
        severity="serious",
        kind="resource",
        summary=f"{name}{where(process, phase)}{numbers(need)}",
        evidence=[*_said(found), *([need.by] if need.by else [])],
        do=advise(process, phase),
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
    """
    The process that was gone first without a word: when one rank is killed, its
    launcher ends the others.
    """
    for reason in ("hang-up", "the run ended"):
        gone = [
            process
            for process in (*state.ranks, *state.processes.values())
            if process.left_reason == reason
        ]
        if gone:
            return min(gone, key=lambda process: process.left or 0.0)
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
    need = need_of(None, process, phase)
    if need.needed is None:
        need = replace(need, limit=state.host.ram_limit or state.host.ram_total)
    own = rise.own > 0
    verb = "killed" if own else "killed, most likely by the kernel,"
    evidence = [
        f"oom_kill of {_place(rise)} rose by {rise.own or rise.above or rise.machine} "
        "during the run" + ("" if own else ", which other processes share"),
        *_seen(state, process),
        *([need.by] if need.by else []),
    ]
    told = numbers(need)
    if need.needed is None:
        told = f": out of memory{told.replace(':', ',', 1)}"
    return ev.FindingRaised(
        rule=DEATH,
        severity="serious",
        kind="resource",
        summary=f"{verb}{where(process, phase)}{told}",
        evidence=evidence,
        do=advise(process, phase),
    )


def _signal_finding(state: RunState, rise: Rise, system: str) -> ev.FindingRaised:
    process = _fell(state) or state.lead
    phase = process.phase.name if process else ""
    place, need = where(process, phase), need_of(None, process, phase)
    if system == "darwin":
        return ev.FindingRaised(
            rule=DEATH,
            severity="serious",
            kind="resource",
            summary=f"killed{place}: possibly by macOS for memory (jetsam)",
            evidence=[
                "signal 9, and macOS counts no such kills",
                *_seen(state, process),
                *([need.by] if need.by else []),
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
        summary=f"killed{place} by signal 9: "
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
