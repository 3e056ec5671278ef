from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from support.runs import until
from trainwatch.runner import sockets, truth
from trainwatch.runner.manifest import Manifest, write
from trainwatch.runner.neighbour import Neighbour, Restarts, stopped


def test_one_that_is_stopped_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as process:
        neighbour = Neighbour(process.pid, "keeper")
        assert not neighbour.look(1.0)
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: stopped(process.pid), "it stands still")
        assert not neighbour.look(1.1), "it is looked at twice a second"
        assert neighbour.look(2.0)
        until(lambda: not stopped(process.pid), "it goes on")
        process.kill()
    assert not neighbour.look(3.0), "it is gone"


def test_one_that_ends_at_once_is_started_less_and_less_often() -> None:
    restarts = Restarts("supervisor", 0.2)
    starts = []
    for tenth in range(6000):
        if restarts.due(tenth / 10):
            starts.append(tenth / 10)
    pauses = [round(b - a) for a, b in itertools.pairwise(starts)]
    assert starts[0] <= 0.3
    assert pauses == sorted(pauses)
    assert len(starts) < 30, "in ten minutes"
    assert "times in a row" in restarts.why()


def test_one_that_lasted_is_started_at_once() -> None:
    restarts = Restarts("keeper")
    assert restarts.due(0.0)
    assert not restarts.due(0.1)
    assert restarts.due(0.4)
    assert restarts.due(1000.0), "it had lived long"
    assert restarts.why() == "the keeper had ended"


def test_a_clock_that_was_set_ends_no_run(tmp_path: Path) -> None:
    """The system's word on when a process began moves with the clock."""
    began = psutil.Process().create_time() - 3600
    (tmp_path / "run").mkdir()
    folder = tmp_path / "run"
    facts = Manifest(
        id="run",
        status="running",
        started=time.time() - 3600,
        supervisor=os.getpid(),
        supervisor_started=began,
        child=os.getpid(),
        child_started=began,
    )
    write(folder, facts)
    with sockets.listen(folder, "control.sock"):
        assert truth.supervised(folder)
        assert truth.correct(folder).status == "running"
    assert not truth.supervised(folder)
