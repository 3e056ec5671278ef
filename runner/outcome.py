"""What came of a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TEXT_BYTES = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What came of one command."""

    ok: bool = False
    outcome: str = ""
    """`done`, `refused`, `failed` or `unknown`; empty while it is under way."""
    detail: str = ""
    path: str = ""
    """The file or folder that was written, if any."""

    def text(self, limit: int = TEXT_BYTES) -> str:
        """
        The first `limit` bytes of the file at `path`, else `detail`. Reads a file.

        Raises:
            OSError: there is a path and it cannot be read.
        """
        if not self.path:
            return self.detail
        with Path(self.path).open("rb") as file:
            return file.read(limit).decode("utf-8", "replace")
