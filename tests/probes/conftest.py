"""
Run a script with the probes armed, and collect what they say.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trainwatch.probes import events as ev

PROBES = Path(ev.__file__).resolve().parent
DEADLINE_S = 120.0


class Collector:
    """The supervisor's end: a listening socket and every event that came in."""

    def __init__(self, folder: Path) -> None:
        # A socket's path is short, whatever pytest calls its folders.
        self._short = Path(tempfile.mkdtemp(prefix="tw-"))
        self.address = os.fspath(self._short / "s")
        self.run = folder
        (folder / "flight").mkdir(parents=True, exist_ok=True)
        self.events: list[ev.Event] = []
        self.torn = 0
        self.open = 0
        """Lines that are up."""
        self._changed = threading.Condition()
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._answers: list[
            tuple[Callable[[ev.Event], bool], Callable[[ev.Event], Any]]
        ] = []
        self._server: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(self.address)
        self._server.listen()
        self._start(self._accept, self._server)

    def hang_up(self) -> None:
        """Die like a supervisor: close the socket and every connection."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
            os.unlink(self.address)
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        self._lines.clear()

    def close(self) -> None:
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
        shutil.rmtree(self._short)

    def when(
        self, kind: str, request: dict[str, Any], *, rank: int | None = None
    ) -> None:
        """Answer the first event of `kind` (from `rank`) by `request`."""

        def fits(event: ev.Event) -> bool:
            return event.type == kind and event.rank == rank

        self._answers.append((fits, lambda event: request))

    def of(self, kind: str) -> list[Any]:
        """The bodies of `kind`, in order."""
        return [e.body for e in list(self.events) if e.type == kind]

    def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Return once `condition` holds; fail when it does not in time."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), self.events[-5:]

    def settle(self) -> None:
        """Return once every line is closed and read to its end."""
        if self._server is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            # Lines are accepted in order, so this one comes after all others.
            last.connect(self.address)
            last.sendall(b'{"type":"settled","time":0}\n')
            self.wait(lambda: bool(self.of("settled")))
        self.wait(lambda: self.open == 0)
        self.events = [e for e in self.events if e.type != "settled"]

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            self._lines.append(line)
            self.open += 1
            self._start(self._read, line)

    def _read(self, line: socket.socket) -> None:
        rest = b""
        while True:
            try:
                data = line.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for text in lines:
                self._take(line, ev.decode(text))
        with self._changed:
            self.torn += bool(rest)
            self.open -= 1
            self._changed.notify_all()

    def _take(self, line: socket.socket, event: ev.Event) -> None:
        for answer in list(self._answers):
            fits, request = answer
            if fits(event):
                self._answers.remove(answer)
                line.sendall(json.dumps(request(event)).encode() + b"\n")
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()


@dataclass
class Finished:
    """A script that ran to its end, and what it said."""

    returncode: int
    stdout: str
    stderr: str
    events: list[ev.Event] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        return [event.body for event in self.events if event.type == kind]

    def check(self) -> Finished:
        """Fail with the script's own words when it or a probe failed."""
        assert self.returncode == 0, self.stderr
        assert self.of("probe_failed") == []
        return self


def stage_probes(folder: Path) -> Path:
    """A stage as the runner makes it."""
    shutil.copytree(
        PROBES,
        folder / "_trainwatch_probes",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copyfile(PROBES / "shim.py", folder / "sitecustomize.py")
    return folder


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage_probes(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    collector = Collector(tmp_path / "run")
    yield collector
    collector.close()


@pytest.fixture
def environment(stage: Path, collector: Collector) -> dict[str, str]:
    """The environment of an armed process."""
    return {
        **os.environ,
        "PYTHONPATH": os.fspath(stage),
        "TRAINWATCH_SOCKET": collector.address,
        "TRAINWATCH_RUN": os.fspath(collector.run),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


Run = Callable[..., Finished]


@pytest.fixture
def run(collector: Collector, environment: dict[str, str], tmp_path: Path) -> Run:
    """`run(script)`: the finished script; `python` picks the interpreter."""

    def start(
        script: str,
        *,
        python: str = sys.executable,
        options: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> Finished:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        done = subprocess.run(
            [python, *options, os.fspath(path)],
            env={**environment, **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        collector.settle()
        return Finished(
            done.returncode, done.stdout, done.stderr, list(collector.events)
        )

    return start
