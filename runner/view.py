"""
What a front end gets: one frozen look at a run.

`Watch` follows a run directory; `Watch.read` folds what is new and returns a
`RunView`. It does the reading, so call it from a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.state import EMPTY, RunState
from trainwatch.runner.verdict import Verdict


@dataclass(frozen=True)
class RunView:
    state: RunState = EMPTY
    verdict: Verdict = Verdict()
    console: tuple[str, ...] = ()
    """The last lines of the child's output, clean, oldest first. The last one
    may still be growing (a progress bar)."""
    console_lines: int = 0
    """Lines seen in all."""
    now: float = 0.0
    """Wall clock of this look."""
    supervised: bool = True
    """False when the run is not over and no supervisor answers for it."""
    caught_up: bool = True
    """False while an old log is still being read."""


NOTHING = RunView()
