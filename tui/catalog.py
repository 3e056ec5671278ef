"""The runs there are, and how a new one is started."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from trainwatch.runner.summary import RunSummary


class Catalog(Protocol):
    """Every call reads the disk or starts a process: make it on a thread."""

    def runs(self) -> tuple[RunSummary, ...]:
        """All runs, newest first."""

    def rename(self, folder: Path, name: str) -> str:
        """
        Raises:
            TrainwatchError: it was not renamed.
        """

    def remove(self, folder: Path) -> int:
        """
        Delete a run that is over; the bytes it held.

        Raises:
            TrainwatchError: it was not removed.
        """

    def surplus(self, keep: int) -> list[Path]:
        """The runs that are over, but for the `keep` newest, oldest first."""

    def check_fit(self, words: str, cwd: str) -> str:
        """
        What `trainwatch fit WORDS` answers in `cwd`, as text.

        Raises:
            RefusedError: it cannot be told.
        """

    def launch(self, command: str, cwd: str) -> Path:
        """
        Start `command` in `cwd`; the folder of the new run.

        Raises:
            LaunchError: it was not started.
        """

    def demos(self) -> tuple[tuple[str, str], ...]:
        """(name, one line about it) of each run that needs nothing but us."""

    def launch_demo(self, name: str) -> Path:
        """
        Raises:
            LaunchError: it was not started.
        """
