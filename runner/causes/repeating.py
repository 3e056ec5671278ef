"""The same error is raised and caught again and again, and no step ends."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import HOST_PHASES, QUIET_S, UNKNOWN_S, Sight
from trainwatch.runner.failures import failure
from trainwatch.runner.state import Process, RunState, TriagedWarning
from trainwatch.runner.text import duration
from trainwatch.runner.triage.records import is_exception

TIMES = 5
"""Errors after which it is a loop."""
SOON_S = 15.0
"""An error that has not come for so long, and for PAUSES times its usual pause, is
over."""
PAUSES = 3.0
SLOWEST = 3.0
"""A step may take so many times the slowest usual one before errors count."""
LOGGED = "families.logged-error"
"""Errors that were caught and logged, with their traceback or without."""
COUNTED = (*HOST_PHASES, "load", "compile", "evaluate", "save")
"""What goes on there is no step: errors in rows, tries of a download."""


def repeating(sight: Sight) -> Cause | None:
    """
    One error came at least TIMES times since a step, or a call of `generate`, last
    ended well, for longer than a step may take.
    """
    process = sight.process
    if process is None or process.training is None or process.training.ended:
        return None
    if sight.phase != "fetch" and sight.phase in COUNTED:
        return None
    if (process.phase.micro_step or 0) > 1:
        return None
    ended = ended_well(sight.state)
    found = [
        warning
        for warning in sight.state.warnings.values()
        if is_error(warning) and _comes(warning, ended, sight.now)
    ]
    worst = max(found, key=lambda warning: warning.again, default=None)
    failed = _generations(process, ended)
    if worst is not None:
        times, since = worst.again, worst.again_since
        what = worst.text.strip().partition("\n")[0][:200]
        at = f" ({worst.origin})" if worst.origin else ""
        facts = f"the same error {times:,} times", f"{what}{at}"
        kind = worst.kind or failure(what.partition(":")[0], what).kind
        do = worst.do
    elif failed is not None:
        times, since = failed
        facts = f"generate failed {times} times in a row", "its errors are caught"
        kind, do = "", "look at the console for what it raises"
    else:
        return None
    lasts = sight.now - max(since, ended or since)
    if lasts < _patience(sight):
        return None
    return Cause(
        "failing",
        kind,
        "likely",
        (f"{facts[0]} since {duration(lasts)}, no step ended", facts[1]),
        do,
        since,
    )


def ended_well(state: RunState) -> float | None:
    """When a step, or a call of `generate` that did not fail, last ended."""
    found = [
        when
        for process in state.processes.values()
        for when in (process.steps.last_ended, _generated(process))
        if when is not None
    ]
    return max(found, default=None)


def is_error(warning: TriagedWarning) -> bool:
    """It was raised, or logged as an error; not a mere warning."""
    said = warning.text.strip().partition("\n")[0]
    named = is_exception(said) and "Warning" not in said.partition(":")[0]
    return warning.rule == LOGGED or warning.source == "exception" or named


def _generated(process: Process) -> float | None:
    for generation in reversed(process.generations):
        if generation.done and not generation.failed:
            return generation.began + (generation.seconds or 0.0)
    return None


def _comes(warning: TriagedWarning, ended: float | None, now: float) -> bool:
    """It came often since `ended`, and still does."""
    if warning.again < TIMES or (ended is not None and ended >= warning.last_seen):
        return False
    pause = (warning.last_seen - warning.again_since) / (warning.again - 1)
    return now - warning.last_seen <= max(SOON_S, PAUSES * pause)


def _generations(process: Process, ended: float | None) -> tuple[int, float] | None:
    """Calls of `generate` that failed one after the other, and the first one's end."""
    since, times = 0.0, 0
    for generation in reversed(process.generations):
        over = generation.began + (generation.seconds or 0.0)
        if not generation.done:
            continue
        if not generation.failed or (ended is not None and over <= ended):
            break
        since, times = over, times + 1
    return (times, since) if times >= TIMES else None


def _patience(sight: Sight) -> float:
    """Seconds without a step that are nothing special."""
    process = sight.process
    steps = process.phases.get("step") if process else None
    if steps is None or not steps.recent:
        return UNKNOWN_S / 2
    return max(QUIET_S, SLOWEST * max(steps.recent))
