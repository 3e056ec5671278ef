"""A process is stopped: ctrl+z, SIGSTOP, or a background job at the terminal."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.text import duration

SOON_S = 3.0


def stopped(sight: Sight) -> Cause | None:
    """The kernel says so; it goes on only when somebody lets it."""
    if sight.quiet < SOON_S:
        return None
    halted = next((s for s in sight.all if s.status in ("T", "t")), None)
    if halted is None:
        return None
    since = max(halted.since, sight.progressed)
    return Cause(
        "waiting",
        "shell",
        "established",
        (
            f"{sight.name(halted)} is stopped (ctrl+z, SIGSTOP, or it wanted the "
            "terminal from the background)",
            f"for {duration(sight.now - since)}; it goes on with kill -CONT "
            f"{halted.of}",
        ),
        f"kill -CONT {halted.of}",
        since,
    )
