"""A pipe that nobody reads, or nobody writes."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Signals
from trainwatch.runner.text import duration


def pipe_full(sight: Sight) -> Cause | None:
    """Somebody cannot write because the other end does not read."""
    if sight.idle < sight.idle_limit:
        return None
    full = next((s for s in sight.all if _writes(s)), None)
    if full is None:
        return None
    inside = {signals.of for signals in sight.all}
    own = full.holder in inside or full.holder is None
    reader = full.holder_name or "its reader"
    if own and full.of != (sight.own.of if sight.own else 0):
        return Cause(
            "stuck",
            "deadlock",
            "likely",
            (
                f"{sight.stopped_for()}, CPU 0",
                f"{sight.name(full)} cannot write, its pipe is full: who should read "
                "it waits for it to end",
            ),
            "read its output before waiting for it (communicate, get before join)",
        )
    return Cause(
        "waiting",
        "io",
        "likely",
        (
            f"for {reader} to read what {sight.name(full)} writes",
            f"the pipe is full for {duration(sight.idle)}",
        ),
        "look at the program that reads the output",
    )


def _writes(signals: Signals) -> bool:
    return signals.wait == "pipe full" or bool(signals.threads.get("pipe full"))


def named_pipe(sight: Sight) -> Cause | None:
    """It opens or reads a file that gives nothing: a named pipe, a dead mount."""
    if sight.idle < sight.idle_limit:
        return None
    waiting = next((s for s in sight.all if s.wait in ("file", "disk")), None)
    if waiting is None:
        return None
    path = waiting.target or "a file whose name cannot be read"
    return Cause(
        "waiting",
        "io",
        "likely",
        (
            f"for the file {path}, {duration(sight.idle)} by now",
            f"{sight.name(waiting)} is in {waiting.call}, CPU 0, no byte moves",
        ),
        "look whether the disk or the mount answers; a named pipe needs a writer",
    )
