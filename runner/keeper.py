"""
The keeper: the child's parent, and the reader of its terminal.

It does two things and loads nothing for them: it moves what the child prints
into `console.log`, so that the child never blocks on a print, and it writes
`exit.json` when the child ends. It starts a new supervisor when the old one
dies, and lets a stopped one go on. The supervisor does the same for the keeper.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainwatch.runner.neighbour import Neighbour, Restarts

if TYPE_CHECKING:
    import subprocess

CONSOLE = "console.log"
INDEX = "console.jsonl"
EXIT = "exit.json"
RESERVE = "reserve"
RESERVE_BYTES = 1 << 16
"""Kept aside for the last words of a run that fills the disk."""
CHUNK = 1 << 16
DRAIN_S = 2.0
"""After the child's end, others may still hold its terminal: how long without
output until they are left alone."""
INDEX_S = 1.0
RESTART_S = 0.2


class Keeper:
    """
    Args:
        folder: the run directory.
        terminal: the master side of the child's terminal.
        listeners: the event and the control socket, kept for the next supervisor.
        link: a socket pair to the supervisor; its closing means it died.
        child: the child's pid when another keeper started it.
    """

    def __init__(
        self,
        folder: Path,
        terminal: int,
        listeners: tuple[socket.socket, socket.socket],
        link: socket.socket,
        child: int | None = None,
    ) -> None:
        self.folder = folder
        self.terminal = terminal
        self.listeners = listeners
        self.link: socket.socket | None = link
        self.child = child
        self.parent = False
        self.lost = 0
        self._log: int | None = None
        self._index: int | None = None
        self._indexed = 0.0
        self._supervisor: Neighbour | None = None
        """Known once it has told its pid."""
        self._restarts = Restarts("supervisor", RESTART_S)
        self._restarted: subprocess.Popen[bytes] | None = None

    def start(
        self,
        program: str,
        argv: Sequence[str],
        cwd: str,
        environment: Mapping[str, str],
        slave: int,
        stdin: int | None = None,
    ) -> int:
        """
        Start the child and return its pid.

        Args:
            program: the file to execute.
            argv: its words.
            cwd: where it starts.
            environment: all of its environment.
            slave: the terminal or the pipe that it writes to.
            stdin: what it reads; None is its terminal, or nothing without one.

        Raises:
            OSError: it could not be executed.
        """
        self._open()
        failed_from, failed_to = os.pipe()
        child = os.fork()
        if child == 0:
            _become(program, argv, cwd, environment, slave, stdin, failed_to)
        os.close(failed_to)
        os.close(slave)
        if stdin is not None:
            os.close(stdin)
        with os.fdopen(failed_from, "rb") as failed:
            number = failed.read()
        if number:
            os.waitpid(child, 0)
            raise OSError(int(number), os.strerror(int(number)))
        self.child = child
        self.parent = True
        return child

    def run(self) -> None:
        """Keep until the child has ended and its output is on the disk."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # It lives as long as the child; the supervisor ends that on a SIGTERM.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._open()
        wake_from, wake_to = os.pipe()
        os.set_blocking(wake_from, False)
        os.set_blocking(wake_to, False)
        os.set_blocking(self.terminal, False)
        signal.set_wakeup_fd(wake_to, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(wake_from, selectors.EVENT_READ)
        selector.register(self.terminal, selectors.EVENT_READ)
        if self.link is not None:
            selector.register(self.link, selectors.EVENT_READ)
        terminal_open = True
        ended: float | None = None
        while True:
            for key, _ in selector.select(0.5 if ended is None else 0.1):
                if key.fileobj is self.link:
                    if not self._hear():
                        selector.unregister(key.fileobj)
                        self.link = None
                elif key.fd == self.terminal:
                    if not self._drain():
                        selector.unregister(self.terminal)
                        terminal_open = False
                    elif ended is not None:
                        ended = time.monotonic()
                else:
                    os.read(wake_from, 512)
            if ended is None and self._child_ended():
                ended = time.monotonic()
            if self.link is not None and self._supervisor is not None:
                self._supervisor.look(time.monotonic())
            if self.link is None:
                link = self._restart_supervisor()
                if link is not None:
                    self.link = link
                    selector.register(link, selectors.EVENT_READ)
            if ended is not None and (
                not terminal_open or time.monotonic() - ended > DRAIN_S
            ):
                break
        self._close()

    def _open(self) -> None:
        if self._log is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            self._log = os.open(self.folder / CONSOLE, flags, 0o600)
            self._index = os.open(self.folder / INDEX, flags, 0o600)

    def _drain(self) -> bool:
        """Move one chunk; False when nobody holds the terminal any more."""
        try:
            data = os.read(self.terminal, CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        assert self._log is not None
        self._mark()
        if self.lost and (self.folder / EXIT).exists():
            # What was reserved is for how it ended, not for more output.
            self.lost += len(data)
            return True
        try:
            while data:
                data = data[os.write(self._log, data) :]
        except OSError:
            # A full disk must not stop the child: drain on, count what is lost.
            self.lost += len(data)
            self.tell({"lost": self.lost})
        return True

    def _mark(self) -> None:
        """Note, once a second, at which time which byte of the log came."""
        mono = time.monotonic()
        if mono - self._indexed < INDEX_S:
            return
        self._indexed = mono
        assert self._log is not None
        assert self._index is not None
        offset = os.fstat(self._log).st_size
        line = json.dumps({"offset": offset, "time": round(time.time(), 3)}) + "\n"
        try:
            os.write(self._index, line.encode())
        except OSError:
            self.tell({"lost": self.lost})

    def _child_ended(self) -> bool:
        assert self.child is not None
        if (self.folder / EXIT).exists():
            return True
        code: int | None = None
        if self.parent:
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return True
                if pid == 0:
                    return False
                if pid == self.child:
                    code = os.waitstatus_to_exitcode(status)
                    break
        elif _alive(self.child):
            return False
        else:
            # The supervisor inherited the child on Linux and knows more; give it a
            # moment to say so.
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if (self.folder / EXIT).exists():
                    return True
                time.sleep(0.05)
        if not write_exit(self.folder, code):
            self.tell({"ended": 1, "code": code})
        return True

    def _hear(self) -> bool:
        assert self.link is not None
        try:
            data = self.link.recv(4096)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if data:
            self._supervisor = Neighbour(int(data), "supervisor")
            if self.lost:
                self.tell({"lost": self.lost})
        return bool(data)

    def tell(self, message: Mapping[str, int | None]) -> None:
        """Send a message to the supervisor, if there is one."""
        if self.link is None:
            return
        try:
            self.link.send(json.dumps(message).encode() + b"\n", socket.MSG_DONTWAIT)
        except OSError:
            # The supervisor is gone or deaf; the next one is told by the total.
            return

    def _restart_supervisor(self) -> socket.socket | None:
        """A link to a new supervisor, or None while it is not yet time for one."""
        if (self.folder / EXIT).exists() and self._restarts.count > 3:
            return None
        if not self._restarts.due(time.monotonic()):
            return None
        self._supervisor = None
        import subprocess

        from trainwatch.runner.launch import process_words

        ours, theirs = socket.socketpair()
        fds = (
            self.terminal,
            self.listeners[0].fileno(),
            self.listeners[1].fileno(),
            theirs.fileno(),
        )
        try:
            self._restarted = subprocess.Popen(
                [
                    *process_words("trainwatch.runner.supervisor"),
                    os.fspath(self.folder),
                    ",".join(str(fd) for fd in fds),
                    str(os.getpid()),
                    str(self.child or 0),
                    self._restarts.why(),
                ],
                pass_fds=fds,
                start_new_session=True,
                cwd=self.folder,
            )
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        return ours

    def _close(self) -> None:
        if self.link is None:
            self.link = self._restart_supervisor()
        if self.link is not None:
            self.tell({"ended": 1})
            self.link.close()
        for descriptor in (self._log, self._index):
            if descriptor is not None:
                os.close(descriptor)


def write_exit(folder: Path, code: int | None) -> bool:
    """
    Keep how the child ended; `code` is negative for a signal, None if unknown.
    False where it cannot be kept.
    """
    from trainwatch.runner.files import complain, write_json

    document = {"code": code, "time": time.time()}
    (folder / RESERVE).unlink(missing_ok=True)
    for _ in range(50):
        try:
            write_json(folder / EXIT, document)
        except FileNotFoundError as error:
            complain(f"exit.json: {error}")
            return False
        except OSError as error:
            complain(f"exit.json: {error}")
            time.sleep(0.1)
        else:
            return True
    return False


def _become(
    program: str,
    argv: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
    slave: int,
    stdin: int | None,
    failed_to: int,
) -> None:
    """In the forked child: take the terminal and execute. Never returns."""
    try:
        os.setsid()
        if os.isatty(slave):
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            os.dup2(slave, 0)
        if stdin is not None:
            os.dup2(stdin, 0)
        os.dup2(slave, 1)
        os.dup2(slave, 2)
        for name in ("SIGPIPE", "SIGXFSZ", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.chdir(cwd)
        os.execve(program, list(argv), dict(environment))
    except OSError as error:
        os.write(failed_to, str(error.errno).encode())
    finally:
        os._exit(127)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    """Take over from a keeper that died: argv is FOLDER FDS CHILD."""
    folder, fds, child = sys.argv[1:4]
    terminal, events, control, link = (int(fd) for fd in fds.split(","))
    Keeper(
        Path(folder),
        terminal,
        (socket.socket(fileno=events), socket.socket(fileno=control)),
        socket.socket(fileno=link),
        int(child),
    ).run()
