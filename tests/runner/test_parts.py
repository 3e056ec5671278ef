"""The small parts: text, secrets, names, files, sockets, logs."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from pathlib import Path

import pytest

from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner import checkpoints, flights, launch, manifest, sockets, stage
from trainwatch.runner.console import Tail, clean
from trainwatch.runner.errors import LaunchError, RefusedError, RunNotFoundError
from trainwatch.runner.files import write_atomically
from trainwatch.runner.follow import Follower
from trainwatch.runner.home import find_run, new_run_folder, run_id
from trainwatch.runner.log import EventLog
from trainwatch.runner.redact import redact, redact_argv
from trainwatch.runner.text import duration, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "not measured"),
        (0, "0 B"),
        (999, "999 B"),
        (2_600_000_000, "2.6 GB"),
        (412_000_000, "412 MB"),
        (16_000_000_000, "16 GB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not measured"),
        (0.0123, "12 ms"),
        (0.5, "0.5 s"),
        (59.7, "1 min"),
        (95, "1 min 35 s"),
        (9000, "2 h 30 min"),
        (3600 * 50, "2 d 2 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;AAAA\x1b\\after", "after"),
        (" 10%|#  |\r 20%|## |", " 20%|## |"),
        ("50%|#| \r\n".rstrip("\n"), "50%|#| "),
        ("a\x00b\x08c\x9bd", "abcd"),
        ("\x1b[2J\x1b[H[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_child_output_is_shown_clean(line: str, shown: str) -> None:
    assert clean(line) == shown


def test_secrets_in_a_command_line_are_masked() -> None:
    argv = [
        "python",
        "train.py",
        "--hf-token",
        "abc123",
        "--api_key=zzz",
        "--hub",
        "hf_abcdefghijklmnop",
        "--url",
        "https://me:pass@host/x",
        "--max-new-tokens",
        "32",
        "--pad-token",
        "<pad>",
        "--tokenizer",
        "path",
    ]
    shown = redact_argv(argv)
    assert shown == [
        "python",
        "train.py",
        "--hf-token",
        "***",
        "--api_key=***",
        "--hub",
        "***",
        "--url",
        "https://me:***@host/x",
        "--max-new-tokens",
        "32",
        "--pad-token",
        "<pad>",
        "--tokenizer",
        "path",
    ]
    assert redact("key sk-aaaaaaaaaaaa end") == "key *** end"


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OSError):  # noqa: PT011
        write_atomically(tmp_path / "missing" / "f", b"x")
    assert list(tmp_path.iterdir()) == [path]


def named_run(name: str) -> Path:
    folder = new_run_folder()
    facts = manifest.Manifest(id=folder.name, name=name, status="finished")
    manifest.write(folder, facts)
    return folder


def test_runs_are_found_by_id_prefix_name_and_last() -> None:
    with pytest.raises(RunNotFoundError, match="no runs yet"):
        find_run()
    first, second = named_run("one"), named_run("two")
    first = first.rename(first.parent / "20200101-000000-aaa")
    assert find_run("last") == second
    assert find_run("one") == first
    assert find_run("20200101-000000-aaa") == first
    assert find_run("2020") == first
    with pytest.raises(RunNotFoundError, match="no run is called"):
        find_run("nope")
    with pytest.raises(RunNotFoundError, match="more than one"):
        find_run("20")
    assert stat.S_IMODE(second.stat().st_mode) == 0o700


def test_a_newer_manifest_is_refused_in_words() -> None:
    folder = named_run("later")
    document = json.loads((folder / manifest.FILE).read_text())
    (folder / manifest.FILE).write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(RefusedError, match="newer trainwatch"):
        manifest.read(folder)
    for text in ("", "[]", "{", '{"schema": 1, "argv": 3, "bogus": 1}'):
        (folder / manifest.FILE).write_text(text)
        if text.endswith("1}"):
            assert manifest.read(folder).schema == 1
        else:
            with pytest.raises(RefusedError):
                manifest.read(folder)


@pytest.mark.parametrize(
    ("argv", "script", "name"),
    [
        (["python", "a/train.py", "--x"], "a/train.py", "train"),
        (["python3.11", "-u", "-W", "error", "t.py"], "t.py", "t"),
        (["python", "-m", "pkg.train"], None, "python"),
        (["python", "-c", "pass"], None, "python"),
        (["torchrun", "--nproc_per_node", "2", "sft.py"], None, "sft"),
        (["./run.sh"], None, "run"),
    ],
)
def test_what_a_command_runs(argv: list[str], script: str | None, name: str) -> None:
    assert launch.python_script(argv) == script
    assert launch.default_name(argv) == name


def test_a_command_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("pass")
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    environment = {"PATH": os.environ["PATH"]}

    def refused(*argv: str) -> tuple[int, str]:
        with pytest.raises(LaunchError) as caught:
            launch.find_program(argv, str(tmp_path), environment)
        return caught.value.exit_code, str(caught.value)

    assert refused("no-such-program-x")[0] == 127
    assert "did you mean `python train.py`" in refused("train.py")[1]
    assert refused("./tool") == (
        126,
        "permission denied: ./tool is not executable",
    )
    assert refused("python3", "missing.py") == (
        2,
        f"script not found: missing.py (in {tmp_path})",
    )
    assert refused("")[0] == 2


def test_sockets_work_at_any_length_of_path(tmp_path: Path) -> None:
    for depth in (0, 20):
        folder = tmp_path / "/".join(["directory"] * depth)
        folder.mkdir(parents=True, exist_ok=True)
        listener = sockets.listen(folder, "e.sock")
        client = socket.socket(socket.AF_UNIX)
        client.connect(sockets.address(folder, "e.sock"))
        assert stat.S_IMODE((folder / "e.sock").stat().st_mode) == 0o600
        client.close()
        listener.close()
        where = sockets.address(folder, "e.sock")
        sockets.remove(folder, "e.sock")
        assert not os.path.lexists(folder / "e.sock")
        assert not os.path.exists(where)


def test_the_stage_is_shared_and_complete() -> None:
    first, second = stage.stage(), stage.stage()
    assert first == second
    assert (first / "sitecustomize.py").exists()
    names = {path.name for path in (first / stage.PACKAGE).glob("*.py")}
    assert {"__init__.py", "events.py", "flight.py", "bootstrap.py"} <= names


# --- logs ---


def line(number: int) -> bytes:
    return ev.encode(ev.of(ev.StepEnded(step=number), time=float(number))).encode()


def test_a_torn_last_line_means_not_yet(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + b"\n" + line(2)[:20])
    follower = Follower(tmp_path)
    assert [e.body.step for e in follower.read()] == [1]  # type: ignore[union-attr]
    assert follower.read() == []
    with path.open("ab") as file:
        file.write(line(2)[20:] + b"\n")
    assert [e.body.step for e in follower.read()] == [2]  # type: ignore[union-attr]
    assert follower.malformed == 0
    follower.close()


def test_a_new_supervisor_closes_a_torn_line_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + b"\n" + line(2)[:20])
    log = EventLog(tmp_path)
    assert log.state.events == 1
    log.append([ev.of(ev.StepEnded(step=3), time=3.0, pid=5)])
    log.close()
    follower = Follower(tmp_path)
    assert [e.body.step for e in follower.read()] == [1, 3]  # type: ignore[union-attr]
    assert follower.malformed == 1
    follower.close()
    again = EventLog(tmp_path)
    assert again.state == log.state
    again.close()


def test_the_console_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    tail = Tail(tmp_path)
    assert not tail.read()
    path.write_bytes("täst".encode()[:2])
    tail.read()
    with path.open("ab") as file:
        file.write("täst".encode()[2:] + b" one\n 10%|\r 20%|")
    tail.read()
    assert tail.shown() == ("täst one", " 20%|")
    with path.open("ab") as file:
        file.write(b"\r100%|\nend\n")
    tail.read()
    assert tail.shown() == ("täst one", "100%|", "end")
    tail.close()


def test_a_bar_that_never_ends_its_line_stays_bounded(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"\r 1%|" * 200_000)
    tail = Tail(tmp_path)
    while tail.read():
        pass
    assert tail.shown() == (" 1%|",)
    assert len(tail._partial) < 100_000
    tail.close()


# --- flight records ---


def reading(**changes: object) -> flight.Reading:
    values: dict[str, object] = {
        "pid": 7,
        "phase": "forward",
        "since": 100.0,
        "step": 3,
        "micro_step": None,
        "tokens": None,
        "bytes": None,
        "rows": None,
        "total": None,
        "detail": "",
        "beat": None,
        "memory_at": None,
        "allocated": None,
        "reserved": None,
        "peak": None,
        "rss": None,
        "error": "",
        "wall_minus_mono": 1000.0,
    }
    return flight.Reading(**{**values, **changes})  # type: ignore[arg-type]


class Ticks:
    """A clock of nanoseconds that goes on by one second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1_000_000_000
        return self.now


def test_a_flight_record_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "7"
    record = flight.FlightRecord(str(path), Ticks())
    record.phase("save")
    record.step(9)
    record.describe(b"checkpoint-9", nbytes=3, total=8)
    record.memory(1, None, 3, 4)
    record.error("boom")
    seen = flight.read(path.read_bytes())
    assert seen is not None
    assert (seen.phase, seen.since, seen.step, seen.bytes, seen.total) == (
        "save",
        3.0,
        9,
        3,
        8,
    )
    assert (seen.detail, seen.error) == ("checkpoint-9", "boom")
    assert (seen.allocated, seen.reserved, seen.peak, seen.rss) == (1, None, 3, 4)
    assert (seen.tokens, seen.micro_step) == (None, None)
    assert flight.history(path.read_bytes()) == [("start", 2.0), ("save", 3.0)]
    record.describe(since=1.5)
    seen = flight.read(path.read_bytes())
    assert seen is not None
    assert (seen.since, seen.bytes, seen.detail) == (1.5, None, "")
    record.close()


def test_the_next_phase_has_no_counters_of_the_one_before(tmp_path: Path) -> None:
    record = flight.FlightRecord(str(tmp_path / "7"))
    record.phase("decode")
    record.tokens(5)
    record.phase("forward")
    seen = flight.read((tmp_path / "7").read_bytes())
    assert seen is not None
    assert (seen.phase, seen.tokens, seen.detail) == ("forward", None, "")
    record.close()


def test_the_ring_keeps_the_last_changes_in_order(tmp_path: Path) -> None:
    record = flight.FlightRecord(str(tmp_path / "7"), Ticks())
    for _ in range(3 * flight.RING):
        record.phase("forward")
    times = [when for _, when in flight.history((tmp_path / "7").read_bytes())]
    last = 2.0 + 3 * flight.RING
    assert times == [last - back for back in reversed(range(flight.RING))]
    record.close()


def test_a_number_without_a_phase_is_a_name_of_the_users(tmp_path: Path) -> None:
    record = flight.FlightRecord(str(tmp_path / "7"))
    record.add(flight.PHASE)
    seen = flight.read((tmp_path / "7").read_bytes())
    assert seen is not None
    assert seen.phase == "custom"
    record.close()


@pytest.mark.parametrize(
    "data", [b"", b"x" * 10, b"\0" * flight.SIZE, b"\xff" * flight.SIZE]
)
def test_what_is_no_flight_record_is_not_read(data: bytes) -> None:
    assert flight.read(data) is None


def test_short_phases_are_not_told_one_by_one() -> None:
    seen, told = flights.observe(flights.Seen(), reading(), 100.1)
    assert told is not None
    told_phases = []
    for number in range(50):
        now = 101.0 + number * 0.1
        phase = ("forward", "backward")[number % 2]
        seen, told = flights.observe(seen, reading(phase=phase, since=now - 0.05), now)
        if told:
            told_phases.append(told.phase)
    assert told_phases == ["step"]


def test_before_training_nothing_is_a_step() -> None:
    importing = reading(phase="import", since=100.0, step=None)
    seen, _ = flights.observe(flights.Seen(), importing, 101.0)
    other = reading(phase="other", since=101.5, step=None)
    seen, told = flights.observe(seen, other, 101.6)
    assert told is not None
    assert told.phase == "other"


def test_a_long_phase_is_told_and_its_counter_once_a_second() -> None:
    seen, _ = flights.observe(flights.Seen(), reading(), 100.1)
    tokens = []
    for tick in range(1, 60):
        now = 100.0 + tick * 0.1
        seen, told = flights.observe(
            seen, reading(phase="decode", since=100.2, tokens=tick), now
        )
        if told:
            tokens.append(told.tokens)
    assert 5 <= len(tokens) <= 7


def test_memory_is_told_when_it_moved() -> None:
    facts = ev.MemorySampled(device="cuda:0", torch_limit=99)
    seen = flights.Seen()
    told = []
    for second, allocated in enumerate([10**9, 10**9 + 5, 2 * 10**9, 2 * 10**9]):
        now = 10.0 + second * 1.5
        seen, body = flights.sample_memory(
            seen, reading(memory_at=now, allocated=allocated), facts, now
        )
        told.append(body.allocated if body else None)
    assert told == [10**9, None, 2 * 10**9, None]
    assert seen.memory is not None
    assert (seen.memory.device, seen.memory.torch_limit) == ("cuda:0", 99)


# --- checkpoints ---


def safetensors(path: Path, cut: int = 0) -> None:
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    ).encode()
    data = struct.pack("<Q", len(header)) + header + b"\0" * 16
    path.write_bytes(data[: len(data) - cut])


def trainer_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    safetensors(folder / "adapter_model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (folder / name).write_bytes(b"x")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_a_trainers_checkpoint_is_whole_and_resumable(tmp_path: Path) -> None:
    seen = checkpoints.inspect(trainer_checkpoint(tmp_path / "checkpoint-7"))
    assert (seen.step, seen.complete, seen.resumable) == (7, True, True)


def test_what_a_checkpoint_lacks_is_named(tmp_path: Path) -> None:
    folder = trainer_checkpoint(tmp_path / "checkpoint-7")
    (folder / "optimizer.pt").unlink()
    seen = checkpoints.inspect(folder)
    assert (seen.complete, seen.resumable) == (True, False)
    assert "optimizer state" in seen.detail
    safetensors(folder / "adapter_model.safetensors", cut=5)
    seen = checkpoints.inspect(folder)
    assert (seen.complete, seen.resumable) == (False, None)
    safetensors(folder / "adapter_model.safetensors")
    (folder / checkpoints.MARKER).write_text("")
    assert checkpoints.inspect(folder).complete is False
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (folder / checkpoints.MARKER).unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-1.safetensors is missing" in checkpoints.inspect(folder).detail


def test_an_empty_folder_is_neither_whole_nor_broken(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    assert checkpoints.inspect(folder).complete is None


def test_a_loops_own_format_is_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / "state.pt").write_bytes(b"x")
    seen = checkpoints.inspect(folder)
    assert (seen.complete, seen.resumable) == (True, None)
    assert "own format" in seen.detail


def test_only_numbered_folders_are_checkpoints() -> None:
    inside = Path("/o/checkpoint-7/sub/model.safetensors")
    assert checkpoints.folder_of(inside) == Path("/o/checkpoint-7")
    assert checkpoints.folder_of(Path("/o/model")) is None


def test_later_runs_sort_later_also_within_a_second() -> None:
    ids = [run_id(1_700_000_000 + n / 1000) for n in range(3000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
