"""It waits for the other end of a connection."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.progress import so_far
from trainwatch.runner.text import duration

SILENT_S = 10.0
"""A peer that sends nothing for so long is waited for."""


def network(sight: Sight) -> Cause | None:
    """The main thread is in a read from a socket, and nothing else happens."""
    if sight.idle < SILENT_S or sight.quiet < SILENT_S or len(sight.state.ranks) > 1:
        return None
    waiting = next((s for s in sight.all if _on_socket(s.wait, s.target)), None)
    if waiting is None:
        return None
    phase = sight.process.phase if sight.process else None
    peer = waiting.target if not waiting.target.startswith("socket:") else "a socket"
    what = f"for {peer}: no byte for {duration(sight.idle)}"
    if phase is not None and phase.name in ("download", "upload"):
        what = f"{what} in {phase.name} {phase.detail}".rstrip()
        what = ", ".join(part for part in (what, so_far(phase)) if part)
    return Cause(
        "waiting",
        "io",
        "likely",
        (what, f"{sight.name(waiting)} is in {waiting.call}, CPU 0"),
        "look whether the other end still runs; a retry often helps a download",
    )


def _on_socket(wait: str, target: str) -> bool:
    of_socket = target.startswith(("socket:", "tcp "))
    return wait == "socket" or (wait in ("timed poll", "poll") and of_socket)
