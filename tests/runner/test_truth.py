"""A run is called lost when nobody holds it, not when it is slow to start."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from trainwatch.probes import events as ev
from trainwatch.probes.flight import FlightRecord
from trainwatch.runner import manifest, sockets, truth
from trainwatch.runner.launch import CONTROL_SOCKET
from trainwatch.runner.log import EventLog
from trainwatch.runner.state import Process
from trainwatch.runner.unseen import unseen


@pytest.fixture
def folder(home: Path) -> Path:
    """A run of a minute ago whose processes have not named themselves."""
    began = time.time() - 60
    manifest.write(home, manifest.Manifest(id="slow", name="slow", started=began))
    return home


def test_a_run_whose_socket_is_held_is_only_slow_to_start(folder: Path) -> None:
    with sockets.listen(folder, CONTROL_SOCKET):
        for _ in range(200):  # More than its queue takes.
            assert truth.supervised(folder)
        assert truth.correct(folder).status == "starting"


def test_a_run_whose_socket_nobody_holds_is_lost(folder: Path) -> None:
    sockets.listen(folder, CONTROL_SOCKET).close()
    assert not truth.supervised(folder)
    assert truth.correct(folder).status == "lost"


def left(folder: Path) -> Process:
    """What a log of three events of this process becomes: the run is lost."""
    pid = os.getpid()
    log = EventLog(folder)
    for number, body in enumerate((ev.ProcessJoined(), *[ev.StepEnded()] * 2), 1):
        log.append([ev.of(body, time=1.0, pid=pid, seq=number)])
    log.append([ev.of(ev.PhaseObserved(of=pid, phase="forward"), time=1.0, pid=pid)])
    log.close()
    assert truth.correct(folder).status == "lost"
    return EventLog(folder).state.processes[pid]


def test_what_a_process_could_not_tell_is_counted(folder: Path) -> None:
    (folder / "flight").mkdir()
    record = FlightRecord(str(folder / "flight" / str(os.getpid())))
    record.said[0] = 9
    record.phase("save")
    process = left(folder)
    assert process.lost == 9 - 3
    assert process.phase.name == "save"
    assert unseen(process, True)["events"] == "its last 6 events did not arrive"


def test_what_a_process_wanted_to_tell_that_nobody_met_is_counted(
    folder: Path,
) -> None:
    (folder / "flight").mkdir()
    for pid, said in ((70_001, 60), (70_002, 0)):
        file = folder / "flight" / str(pid)
        record = FlightRecord(str(file))
        record.said[0] = said
        written = file.read_bytes()
        file.write_bytes(written.replace(pack(os.getpid()), pack(pid), 1))
    (folder / "flight" / "notes").write_text("of somebody else")
    assert truth.correct(folder).status == "lost"
    state = EventLog(folder).state
    assert {p.pid: p.lost for p in state.processes.values()} == {70_001: 60}


def pack(pid: int) -> bytes:
    return pid.to_bytes(4, sys.byteorder)


def test_without_a_flight_record_nobody_can_count(folder: Path) -> None:
    process = left(folder)
    assert process.left is not None
    assert process.lost == 0
