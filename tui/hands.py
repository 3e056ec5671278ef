"""Commands to a run. They block, so each is made on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from trainwatch.runner.errors import TrainwatchError
from trainwatch.runner.outcome import Outcome
from trainwatch.tui.messages import CommandReturned

if TYPE_CHECKING:
    from trainwatch.runner.state import RunState
    from trainwatch.runner.triage.marks import Mark

Post = Callable[[Message], object]
Call = Callable[[], Outcome]


class Hands(Protocol):
    """What can be done to a run. Every call blocks until its outcome is known."""

    def abort(self, folder: Path, how: str) -> Outcome:
        """`how`: `step` (finish the step and save), `now`, `tree` or `kill`."""

    def snapshot(self, folder: Path, again: bool = False) -> Outcome:
        """`again`: also within a minute of the last one."""

    def stack(self, folder: Path) -> Outcome: ...

    def type_text(self, folder: Path, data: bytes) -> Outcome: ...

    def hand_over(self, folder: Path) -> Outcome:
        """Give this terminal to the program. Only while the app is suspended."""

    def mark(self, mark: Mark) -> Outcome:
        """Keep a mark on a family of warnings."""

    def export(self, state: RunState, path: Path) -> Outcome:
        """Write the warnings of `state` to `path`, ending with .md or .json."""


class Lane:
    """Makes calls one after the other on one daemon thread."""

    def __init__(self, name: str, post: Post) -> None:
        self._post = post
        self._calls: queue.SimpleQueue[tuple[str, Call, bool]] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._work, name=f"trainwatch-{name}", daemon=True
        )

    def ask(self, command: str, call: Call, read: bool = False) -> None:
        """Make `call`; post its outcome, with the text it wrote when `read`."""
        self._calls.put((command, call, read))
        if not self._thread.is_alive():
            self._thread.start()

    def _work(self) -> None:
        while True:
            command, call, read = self._calls.get()
            text = ""
            try:
                outcome = call()
                if read:
                    text = outcome.text()
            except TrainwatchError as error:
                outcome = Outcome(False, "refused", str(error))
            except Exception as error:  # whatever it is, the user sees it
                outcome = Outcome(False, "failed", f"{type(error).__name__}: {error}")
            try:
                self._post(CommandReturned(command, outcome, text))
            except RuntimeError:
                # The event loop has closed: nobody waits for the outcome.
                return
