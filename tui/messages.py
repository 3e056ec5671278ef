"""What threads and widgets tell the app, in the past tense."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message

from trainwatch.runner.outcome import Outcome
from trainwatch.runner.summary import RunSummary
from trainwatch.runner.view import RunView


class RunUpdated(Message):
    """The feed read the run again. Only the newest look matters."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunUpdated)


class FeedLost(Message):
    """The run could not be read. The feed goes on trying."""

    def __init__(self, error: str) -> None:
        super().__init__()
        self.error = error


class CommandReturned(Message):
    """A hand came back with its outcome; `text` is what it wrote, if asked."""

    def __init__(self, command: str, outcome: Outcome, text: str = "") -> None:
        super().__init__()
        self.command = command
        self.outcome = outcome
        self.text = text


class RunsListed(Message):
    """The catalog was read, or could not be: then `error` says why."""

    def __init__(self, runs: tuple[RunSummary, ...], error: str = "") -> None:
        super().__init__()
        self.runs = runs
        self.error = error

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsListed)


class RunsChosen(Message):
    """The runs that a pruning would remove."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        super().__init__()
        self.folders = folders


class RunsChanged(Message):
    """Runs were renamed or removed, or could not be; `said` tells."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


class DemosListed(Message):
    """The demos that can be started: (name, summary)."""

    def __init__(self, demos: tuple[tuple[str, str], ...], error: str = "") -> None:
        super().__init__()
        self.demos = demos
        self.error = error


class FitChecked(Message):
    """Whether a training fits, as text; or why that cannot be told."""

    def __init__(self, answer: str, error: str = "") -> None:
        super().__init__()
        self.answer = answer
        self.error = error


class RunLaunched(Message):
    """A run was started and can be opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


class LaunchFailed(Message):
    """A run was not started."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
