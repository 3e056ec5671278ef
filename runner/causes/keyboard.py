"""It asks, and nobody answers."""

from __future__ import annotations

from trainwatch.runner.causes.cause import Cause
from trainwatch.runner.causes.sight import Sight
from trainwatch.runner.text import duration

SOON_S = 3.0


def keyboard(sight: Sight) -> Cause | None:
    """Some process of the run reads from the terminal."""
    if sight.quiet < SOON_S:
        return None
    asking = next((s for s in sight.all if s.wait == "keyboard"), None)
    if asking is None:
        return None
    shown = asking.prompt.strip() or "it shows no prompt"
    since = max(asking.since, sight.progressed)
    return Cause(
        "waiting",
        "shell",
        "established",
        (
            f"for your keyboard: {shown}",
            f"{sight.name(asking)} reads from the terminal "
            f"for {duration(sight.now - since)}",
        ),
        "i gives the keyboard to the program",
        since,
    )
