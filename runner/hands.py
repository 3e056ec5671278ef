"""The hands as a front end wants them: ask, and get an outcome, never an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainwatch.runner import control
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.outcome import Outcome


class Hands:
    """Every call blocks until the outcome is known: call it from a worker."""

    def abort(self, folder: Path, how: str) -> Outcome:
        return self._ask(folder, "abort", how=how)

    def snapshot(self, folder: Path) -> Outcome:
        return self._ask(folder, "snapshot")

    def stack(self, folder: Path) -> Outcome:
        return self._ask(folder, "stack", wait_s=15)

    def type_text(self, folder: Path, data: bytes) -> Outcome:
        text = data.decode("utf-8", "replace")
        return self._ask(folder, "type", wait_s=5, text=text)

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
