"""It waits for a lock on a file."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.state import Signals
from trainwatch.runner.text import duration

SOON_S = 4.0


def file_lock(sight: Sight) -> Cause | None:
    """Some process of the run is in flock or fcntl, or asks for a lock file again
    and again."""
    if sight.quiet < SOON_S:
        return None
    waiting = next((s for s in sight.all if s.wait == "file lock"), None)
    if waiting is None:
        return None
    since = max(waiting.since, sight.progressed)
    path = waiting.target or "a file whose name cannot be read"
    asleep = waiting.call not in ("flock", "fcntl")
    return Cause(
        "waiting",
        "io",
        "likely" if asleep else "established",
        (
            f"for the lock {path}, {duration(sight.now - since)} by now",
            _who(waiting),
        ),
        "end the process that holds it, or remove the file if nobody does",
        since,
    )


def _who(waiting: Signals) -> str:
    if waiting.holder is None:
        return "nobody on this machine is seen to hold it"
    return f"held by {waiting.holder_name or 'process'} {waiting.holder}"
