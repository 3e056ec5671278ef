"""
The supervisor's end of the link to the keeper.

A socket pair that closes when either of the two dies. The keeper tells over it
which process is the child, how much output could not be kept, and how the child
ended where that could not be written down. The supervisor tells its pid.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
from pathlib import Path

from trainwatch.runner.launch import process_words
from trainwatch.runner.neighbour import Neighbour, Restarts


class KeeperLink:
    """
    Args:
        link: our end of the socket pair.
        selector: where it is registered, with this as data.
        pid: the keeper.
        child: the child's pid; 0 where the keeper will tell it.
    """

    def __init__(
        self,
        link: socket.socket,
        selector: selectors.BaseSelector,
        pid: int,
        child: int = 0,
    ) -> None:
        self.pid = pid
        self.child = child
        self.lost = 0
        """Bytes of output that could not be kept."""
        self.ended = False
        """It said that the child has ended."""
        self.code: int | None = None
        """As `os.waitstatus_to_exitcode` gives it, where the keeper said it."""
        self.open = True
        self.restarts = Restarts("keeper")
        self._neighbour = Neighbour(pid, "keeper")
        self._selector = selector
        self._before = 0
        """Of them, those of earlier keepers."""
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._use(link)

    def hear(self) -> None:
        """Take what the keeper says; its silence for ever closes the link."""
        try:
            data = self._link.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.open = False
            self._selector.unregister(self._link)
            self._link.close()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self.child = message.get("child", self.child)
            self.lost = max(self.lost, self._before + message.get("lost", 0))
            self.ended |= "ended" in message
            self.code = message.get("code", self.code)

    def look(self, mono: float) -> None:
        """Let the keeper go on where it was stopped."""
        if self.open:
            self._neighbour.look(mono)

    def replace(self, folder: Path, descriptors: tuple[int, int, int]) -> None:
        """
        Start another keeper that holds and reads the terminal.

        Args:
            folder: the run directory.
            descriptors: the terminal, the event and the control socket.

        Raises:
            OSError: it could not be started.
        """
        ours, theirs = socket.socketpair()
        fds = (*descriptors, theirs.fileno())
        try:
            self._process = subprocess.Popen(
                [
                    *process_words("trainwatch.runner.keeper"),
                    os.fspath(folder),
                    ",".join(str(fd) for fd in fds),
                    str(self.child),
                ],
                pass_fds=fds,
                start_new_session=True,
                cwd=folder,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._neighbour.pid = self.pid
        self._before = self.lost
        self.open = True
        self._use(ours)

    def _use(self, link: socket.socket) -> None:
        self._link = link
        link.setblocking(False)
        self._selector.register(link, selectors.EVENT_READ, self)
        try:
            link.send(str(os.getpid()).encode())
        except OSError:
            return  # It has ended already, and `hear` will find that.
