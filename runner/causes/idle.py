"""Nothing happens, and the cause is not shown."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Signals
from trainwatch.runner.text import duration

LONG_S = 60.0
PHASES = ("fetch", "forward", "loss", "backward", "clip", "optimizer", "reference")


def asleep(sight: Sight) -> Cause | None:
    """The program itself sleeps for longer than anybody means to."""
    own = sight.own
    if own is None or not sight.sleeps_for_ever(own) or sight.idle < sight.idle_limit:
        return None
    if len(sight.state.ranks) > 1:
        return None
    inside = sight.phase in PHASES
    left = f"asleep by its own call for another {duration(own.left_s)}"
    if not inside:
        return Cause("waiting", "slow", "established", (left, sight.stopped_for()))
    return Cause(
        "stuck",
        "data" if sight.phase == "fetch" else "deadlock",
        "likely",
        (f"{sight.stopped_for()}, CPU 0", left),
        "t shows where",
    )


def idle(sight: Sight) -> Cause | None:
    """
    Far longer without progress than usual, no CPU, no byte, and nothing that would
    explain it.
    """
    own = sight.own
    limit = max(LONG_S, 2 * sight.patience)
    if own is None or sight.idle < limit or sight.quiet < limit:
        return None
    if len(sight.state.ranks) > 1:
        return None  # Ranks that wait are judged together.
    if sight.process is None or sight.process.role != "rank":
        return None  # A program that serves may have nothing to do.
    if any(explained(s) for s in sight.all):
        return None
    others = len([s for s in sight.below if s.status not in ("Z", "X")])
    workers = f", {others} processes below it idle" if others else ""
    threads = ", ".join(f"{count} in {w}" for w, count in sight.others(own).items())
    return Cause(
        "stuck",
        "deadlock" if own.wait in ("lock", "shared lock", "child") else "io",
        "possible",
        (
            f"{sight.stopped_for()}, CPU 0{workers}",
            f"it waits in {own.call or own.wait or 'an unknown call'}"
            + (f"; threads: {threads}" if threads else "")
            + "; why is not shown",
        ),
        "t shows the stack",
    )


def explained(signals: Signals) -> bool:
    """It may go on by itself."""
    return (
        signals.wait in ("sleep", "timed lock", "running", "keyboard", "file lock", "")
        or signals.status in ("T", "t", "D")
        or bool(signals.threads.get("sleep") or signals.threads.get("running"))
    )
