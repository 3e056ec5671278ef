"""One run in a list of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunSummary:
    """What a list shows of a run without folding its log."""

    id: str = ""
    name: str = ""
    folder: Path = Path()
    command: str = ""
    status: str = "starting"
    started: float | None = None
    """Wall clock seconds."""
    ended: float | None = None
    step: int | None = None
    max_steps: int | None = None
    verdict: str = ""
    """One of `verdict.VERDICTS`, or empty where nobody has judged the run."""
    home: str = ""
    """The folder that holds this and other runs."""
