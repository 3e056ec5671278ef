from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainwatch.probes import connection as module
from trainwatch.probes import events as ev
from trainwatch.probes.connection import Connection
from trainwatch.probes.flight import FlightRecord, read


def until(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def requests() -> list[Any]:
    return []


@pytest.fixture
def line(collector: Any, requests: list[Any]) -> Iterator[Connection]:
    line = Connection(
        collector.address, lambda: {"role": "other"}, requests.append, lambda: None, 3
    )
    yield line
    line.finish()


def test_type_names_are_those_of_the_schema() -> None:
    for name, cls in ev.TYPES.items():
        assert module.type_of(cls()) == name


def test_the_sparable_and_repeated_types_exist() -> None:
    assert set(module.SPARABLE) | set(module.REPEATED) <= set(ev.TYPES)


def test_hello_comes_first_then_the_events_in_order(
    line: Connection, collector: Any
) -> None:
    line.emit(ev.StepEnded(step=1))
    line.emit(ev.StepEnded(step=2))
    line.start()
    collector.wait(lambda: len(collector.events) == 3)
    assert [e.type for e in collector.events] == [
        "process_joined",
        "step_ended",
        "step_ended",
    ]
    assert {(e.rank, e.pid) for e in collector.events} == {(3, os.getpid())}
    assert [body.step for body in collector.of("step_ended")] == [1, 2]


def test_partial_writes_keep_the_lines_whole(line: Connection, collector: Any) -> None:
    text = "x" * 50_000
    for number in range(100):
        line.emit(ev.WarningRaised(text=text, line=number))
    line.start()
    collector.wait(lambda: len(collector.of("warning_raised")) == 100)
    warnings = collector.of("warning_raised")
    assert [w.line for w in warnings] == list(range(100))
    assert {w.text for w in warnings} == {text}
    assert line.dropped == 0


def test_a_thread_that_was_not_seen_to_end_tears_no_line(
    line: Connection, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAREWELL_S", 0.0)
    text = "x" * 50_000
    line.start()
    for number in range(200):
        line.emit(ev.WarningRaised(text=text, line=number))
        line.pause()
        line.resume()
    monkeypatch.setattr(module, "FAREWELL_S", 0.5)
    collector.wait(lambda: len(collector.of("warning_raised")) == 200)
    assert [w.line for w in collector.of("warning_raised")] == list(range(200))
    assert {w.text for w in collector.of("warning_raised")} == {text}


def test_when_nobody_reads_the_sparable_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 50)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("s")
        server.listen()
        line = Connection("s", dict, lambda request: None, lambda: None)
        line.start()
        until(lambda: not line.backlog)
        for number in range(2_000):
            line.emit(ev.WarningRaised(text="y" * 2_000, line=number))
            if number % 100 == 0:
                line.emit(ev.TrainingBegan(step=number))
            time.sleep(0)
        assert line.dropped > 0
        assert line.backlog <= 50 + module.BATCH + 20 + 1
        peer, _ = server.accept()
        line.pause()
        peer.settimeout(20)
        data = b""
        kept = line.events
        line.resume()
        while data.count(b"\n") < kept + 1:
            data += peer.recv(65536)
        types = [ev.decode(text).type for text in data.splitlines()]
        assert types.count("training_began") == 20
        assert types.count("warning_raised") + line.dropped == 2_000
        peer.close()
        line.finish()


def test_a_new_supervisor_is_told_what_it_must_know(
    line: Connection, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", (0.01, 0.05))
    line.start()
    line.emit(ev.TrainingBegan(trainer="SFTTrainer"))
    line.emit(ev.ModelDescribed(model="Llama"))
    line.emit(ev.StepEnded(step=1))
    collector.wait(lambda: bool(collector.of("step_ended")))
    told = {e.type: e for e in collector.events}
    collector.hang_up()
    until(lambda: line.errors > 0)
    line.emit(ev.StepEnded(step=2))
    collector.events.clear()
    collector.listen()
    collector.wait(lambda: bool(collector.of("step_ended")))
    assert [e.type for e in collector.events] == [
        "process_joined",
        "training_began",
        "model_described",
        "step_ended",
    ]
    assert collector.events[1].time == told["training_began"].time
    assert collector.events[1].seq == told["training_began"].seq
    assert collector.of("step_ended")[0].step == 2


def test_a_training_that_ended_is_not_begun_again(
    line: Connection, collector: Any
) -> None:
    line.start()
    line.emit(ev.TrainingBegan())
    line.emit(ev.TrainingEnded())
    collector.wait(lambda: bool(collector.of("training_ended")))
    collector.hang_up()
    until(lambda: line.errors > 0)
    collector.events.clear()
    collector.listen()
    line.emit(ev.ProcessLeft())
    collector.wait(lambda: bool(collector.of("process_left")))
    assert collector.of("training_began") == []


def test_how_much_was_said_is_known_even_if_nobody_hears_it(
    line: Connection, tmp_path: Path
) -> None:
    record = FlightRecord(str(tmp_path / "7"))
    line.said = record.said
    for _ in range(5):
        line.emit(ev.StepEnded())
    reading = read((tmp_path / "7").read_bytes())
    assert reading is not None
    assert reading.said == 5
    line.silence()
    line.emit(ev.StepEnded())
    assert record.said[0] == 5


def test_requests_come_down_the_same_line(
    line: Connection, collector: Any, requests: list[Any]
) -> None:
    collector.when("process_joined", {"request": "stop", "id": "7"}, rank=3)
    line.start()
    until(lambda: requests)
    assert requests == [{"request": "stop", "id": "7"}]


def test_garbage_from_above_is_counted(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    got: list[Any] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("s")
        server.listen()
        line = Connection("s", dict, got.append, lambda: None)
        line.start()
        peer, _ = server.accept()
        peer.sendall(b'nonsense\n[1]\n{"request":')
        peer.sendall(b'"save"}\n')
        until(lambda: got)
        assert got == [{"request": "save"}]
        assert line.errors == 1
        peer.close()
        line.finish()


@pytest.mark.parametrize("name", ["gone", "x" * 300])
def test_no_socket_breaks_nothing(tmp_path: Path, name: str) -> None:
    line = Connection(str(tmp_path / name), dict, lambda r: None, lambda: None)
    line.start()
    line.emit(ev.StepEnded(step=1))
    until(lambda: line.errors > 0)
    began = time.monotonic()
    line.finish()
    assert time.monotonic() - began < 10


def test_an_unreadable_body_is_counted_not_raised(
    line: Connection, collector: Any
) -> None:
    line.start()
    line.say("step_ended", {"step": object()})
    line.emit(ev.StepEnded(step=2))
    collector.wait(lambda: bool(collector.of("step_ended")))
    assert [s.step for s in collector.of("step_ended")] == [2]
    assert line.errors == 1


def test_the_end_sends_what_waits(line: Connection, collector: Any) -> None:
    for number in range(500):
        line.emit(ev.StepEnded(step=number))
    line.finish()
    collector.wait(lambda: len(collector.of("step_ended")) == 500)
    line.emit(ev.StepEnded(step=501))
    assert line.backlog == 0


def test_the_thread_ends_for_a_fork_and_comes_back(
    line: Connection, collector: Any
) -> None:
    line.start()
    line.emit(ev.StepEnded(step=1))
    collector.wait(lambda: bool(collector.of("step_ended")))
    line.pause()
    assert line._thread is None
    line.emit(ev.StepEnded(step=2))
    collector.wait(lambda: len(collector.of("step_ended")) == 2)
    assert collector.torn == 0
