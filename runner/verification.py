"""
A checkpoint of ours, read whole after it was written.

On a thread of its own: the supervisor must not wait for a disk.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner import checkpoints, tensors


class Verification:
    """
    Reads every byte of the checkpoint at `path`.

    Args:
        path: a folder of a trainer, or our rescue file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()
        self.seconds: float | None = None
        """How long it took; None while it runs."""
        self._found: ev.CheckpointSeen | None = None
        self._thread = threading.Thread(target=self._read, name="verify", daemon=True)
        self._thread.start()

    def found(self, wait_s: float = 0.0) -> ev.CheckpointSeen | None:
        """What was found; None while it is not known."""
        self._thread.join(wait_s)
        return self._found

    def so_far(self) -> ev.CheckpointSeen:
        """What is known without having read it all."""
        found = verify(self.path, deep=False)
        detail = found.detail or "not read whole yet"
        return replace(found, detail=detail)

    def _read(self) -> None:
        found = verify(self.path)
        self.seconds = time.monotonic() - self.began
        self._found = replace(found, verified=bool(found.complete))


def verify(path: Path, *, deep: bool = True) -> ev.CheckpointSeen:
    """What is really there: a checkpoint folder, or our rescue file."""
    try:
        if path.is_dir():
            return checkpoints.inspect(path, deep=deep, by_trainer=True)
        problem = tensors.problem(path, deep=deep)
        stat = path.stat()
        return ev.CheckpointSeen(
            path=str(path),
            bytes=stat.st_size,
            complete=problem is None,
            resumable=None if problem else False,
            detail=problem or "rescue checkpoint: the script does not resume by itself",
            written=round(stat.st_mtime, 3),
        )
    except OSError as error:
        return ev.CheckpointSeen(path=str(path), complete=False, detail=str(error))
