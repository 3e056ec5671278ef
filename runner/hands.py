"""The hands as a front end wants them: ask, and get an outcome, never an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainwatch.runner import control, review
from trainwatch.runner.document import review_document
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.handover import hand_over
from trainwatch.runner.outcome import Outcome
from trainwatch.runner.state import RunState
from trainwatch.runner.triage import own
from trainwatch.runner.triage.marks import Mark


class Hands:
    """Every call blocks until the outcome is known: call it from a worker."""

    def abort(self, folder: Path, how: str) -> Outcome:
        return self._ask(folder, "abort", how=how)

    def snapshot(self, folder: Path, again: bool = False) -> Outcome:
        return self._ask(folder, "snapshot", again=again)

    def stack(self, folder: Path) -> Outcome:
        return self._ask(folder, "stack", wait_s=15)

    def type_text(self, folder: Path, data: bytes) -> Outcome:
        text = data.decode("utf-8", "replace")
        return self._ask(folder, "type", wait_s=5, text=text)

    def hand_over(self, folder: Path) -> Outcome:
        return hand_over(folder)

    def mark(self, mark: Mark) -> Outcome:
        """Put `mark` into the user's own file."""
        path = own.own_file()
        try:
            own.write_mark(path, mark)
        except (OSError, ValueError) as error:
            return Outcome(False, "failed", f"{path}: {error}")
        what = mark.severity or ("known" if mark.known else "as the rules say")
        return Outcome(True, "done", f"{what}, for you, in {path}")

    def export(self, state: RunState, path: Path) -> Outcome:
        """Write the warnings of `state` to a file."""
        try:
            written = review.export(state, review_document(state), path)
        except RefusedError as error:
            return Outcome(False, "refused", str(error))
        except OSError as error:
            return Outcome(False, "failed", str(error))
        return Outcome(True, "done", f"written to {written}", str(written))

    def _ask(
        self,
        folder: Path,
        command: str,
        wait_s: float | None = None,
        **arguments: Any,
    ) -> Outcome:
        try:
            return control.ask(folder, command, wait_s=wait_s, **arguments)
        except RefusedError as error:
            return Outcome(False, "refused", str(error))
        except OSError as error:
            return Outcome(False, "failed", str(error))
