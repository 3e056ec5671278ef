"""
What a living run stands on in the file system: its directory and its sockets.

Somebody may take them away. A socket is made again at its old address, so that
processes which start later find it; a directory that was removed is not: that was
somebody's wish, and it is said to whoever still looks.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from trainwatch.probes import events as ev
from trainwatch.runner import sockets
from trainwatch.runner.files import complain

GONE = ev.FindingRaised(
    rule="run-directory-removed",
    severity="serious",
    kind="resource",
    summary="the run directory was removed while the run lives",
    evidence=["the training goes on, and its end will still be seen by open screens"],
    do="keep what the open screens show: nothing of this run will be left",
)


class Listening(Protocol):
    """Whoever accepts connections."""

    listener: socket.socket

    def listen(self, listener: socket.socket) -> None: ...


class Foothold:
    """
    Args:
        folder: the run directory.
        ears: who listens on its sockets.
        inherited: the sockets are another supervisor's, which may have made
            others in the meantime.
    """

    def __init__(
        self, folder: Path, ears: Iterable[Listening], inherited: bool
    ) -> None:
        self.folder = folder
        self.gone = False
        self._ears = tuple(ears)
        self._inherited = inherited
        self._failed: set[str] = set()

    def look(self) -> Iterator[ev.FindingRaised]:
        """Mend what can be mended, and tell what cannot, once."""
        if self.gone:
            return
        if not self.folder.is_dir():
            self.gone = True
            complain(GONE.summary)
            yield GONE
            return
        for ear in self._ears:
            address = ear.listener.getsockname()
            if os.path.exists(address) and not (
                self._inherited and not sockets.answers(address)
            ):
                continue
            try:
                Path(address).parent.mkdir(mode=0o700, exist_ok=True)
                ear.listen(sockets.listen_at(Path(address)))
            except OSError as error:
                if address not in self._failed:
                    complain(f"{address}: {error}")
                self._failed.add(address)
            else:
                complain(f"{address} was removed, and is there again")
        self._inherited = False
