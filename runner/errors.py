"""Errors that a person caused or can mend. Each is one line of plain words."""

from __future__ import annotations


class TrainwatchError(Exception):
    """An error to show in one line; `exit_code` is what the command ends with."""

    exit_code = 4


class UsageError(TrainwatchError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class RunNotFoundError(TrainwatchError):
    """No run, or more than one, answers to that name."""

    exit_code = 3


class RefusedError(TrainwatchError):
    """Understood, but it cannot be done here; the text says why."""

    exit_code = 4


class LaunchError(RefusedError):
    """The command cannot be started. `exit_code` is what a shell would give."""

    def __init__(self, message: str, exit_code: int = 4) -> None:
        super().__init__(message)
        self.exit_code = exit_code
