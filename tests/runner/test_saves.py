"""A save from outside: where it goes, how much lies there, what it will weigh."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner import flights, growth
from trainwatch.runner.growth import File, Growth, files, written
from trainwatch.runner.saves import Expected, Saving, expected, place
from trainwatch.runner.state import (
    Checkpoint,
    Ledger,
    Process,
    RunState,
    Trainable,
    Training,
)

DEADLINE_S = 20.0
BIG = 10 * growth.SMALL


# --- where ---


@pytest.mark.parametrize(
    ("detail", "output", "found"),
    [
        ("/data/out/checkpoint-5", None, "/data/out/checkpoint-5"),
        ("checkpoint-5", "/data/out", "/data/out/checkpoint-5"),
        ("checkpoint-5", "out", "/work/out/checkpoint-5"),
        ("checkpoint-5", None, None),
        ("", "/data/out", None),
    ],
)
def test_a_save_is_where_its_process_says(
    detail: str, output: str | None, found: str | None
) -> None:
    assert place(detail, output, "/work") == (Path(found) if found else None)


# --- how much is there ---


def test_what_lay_there_before_is_not_counted() -> None:
    old = {"a": File(500, 100.0, 512), "b": File(700, 100.0, 1024)}
    now = {**old, "b": File(900, 300.0, 1024), "c": File(50, 300.0, 512)}
    assert written(now, old, since=299.0) == 950


def test_a_server_whose_clock_is_behind_changes_nothing() -> None:
    first = {"a": File(500, 100.0, 512)}
    now = {"a": File(800, 104.0, 1024), "b": File(60, 105.0, 512)}
    assert written(now, first, since=9_000.0) == 860


def test_a_file_written_before_the_first_look_is_counted_by_its_time() -> None:
    first = {"a": File(500, 200.2, 512)}
    assert written(first, first, since=200.0) == 500


def test_a_file_at_full_length_counts_by_what_the_disk_holds_of_it() -> None:
    assert written({"a": File(4 * BIG, 1.0, BIG)}, {}, 0.0) == BIG


def test_a_disk_that_tells_no_blocks_is_not_measured() -> None:
    assert written({"a": File(BIG, 1.0, 0)}, {}, 0.0) is None
    assert written({"a": File(12, 1.0, 0)}, {}, 0.0) == 12


def test_the_files_of_a_folder_and_of_a_single_file(tmp_path: Path) -> None:
    inside = tmp_path / "checkpoint-5" / "deep"
    inside.mkdir(parents=True)
    (inside / "a").write_bytes(b"x" * 10)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 20)
    (tmp_path / ".tmpAbC").write_bytes(b"x" * 30)
    (tmp_path / "events.log").write_bytes(b"x" * 40)
    folder = files(tmp_path / "checkpoint-5")
    assert [os.path.basename(name) for name in folder] == ["a"]
    file = files(tmp_path / "model.safetensors")
    assert sorted(f.size for f in file.values()) == [20, 30]
    assert files(tmp_path / "not" / "there") == {}


def wait_for(growing: Growth, path: Path, since: float, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while growing.bytes(path, since) != count:
        assert time.monotonic() < deadline, growing.bytes(path, since)
        time.sleep(0.02)


def test_a_save_is_seen_to_grow_by_a_thread_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "LOOK_S", 0.02)
    monkeypatch.setattr(growth, "IDLE_S", 0.2)
    growing, since = Growth(), time.time()
    path = tmp_path / "checkpoint-1"
    wait_for(growing, path, since, 0)
    path.mkdir()
    (path / "weights").write_bytes(b"x" * 1_000)
    wait_for(growing, path, since, 1_000)
    (path / "optimizer").write_bytes(b"x" * 500)
    wait_for(growing, path, since, 1_500)
    later = time.time() + 100
    wait_for(growing, path, later, 0)
    deadline = time.monotonic() + DEADLINE_S
    while any(thread.name == "growth" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread goes on"
        time.sleep(0.02)


# --- what it will weigh ---

LEDGER = Ledger(weights_trainable=100, weights_frozen=900, exp_avg=100, exp_avg_sq=100)
FULL = Process(
    training=Training(resumable=True),
    ledger=LEDGER,
    trainable=Trainable(model="LlamaForCausalLM"),
)
PATH = Path("/out/checkpoint-10")


def test_the_checkpoint_before_is_the_best_guess() -> None:
    before = {
        f"/out/checkpoint-{n}": Checkpoint(
            f"/out/checkpoint-{n}", n, 1_000 + n, True, seen=n
        )
        for n in (2, 4)
    }
    elsewhere = Checkpoint("/other/checkpoint-9", 9, 5, True, seen=9)
    state = RunState(checkpoints={**before, elsewhere.path: elsewhere})
    assert expected(state, FULL, PATH) == Expected(1_004, "checkpoint-4")


def test_a_broken_checkpoint_is_no_measure() -> None:
    broken = Checkpoint("/out/checkpoint-4", 4, 5, False, seen=4)
    state = RunState(checkpoints={broken.path: broken})
    assert expected(state, FULL, PATH) == Expected(1_200, "weights and optimizer state")


def test_an_adapter_is_saved_without_the_model_under_it() -> None:
    process = replace(FULL, trainable=Trainable(model="PeftModelForCausalLM"))
    assert expected(RunState(), process, PATH) == Expected(
        300, "weights and optimizer state"
    )


def test_without_the_optimizer_only_the_weights() -> None:
    process = replace(FULL, training=Training(resumable=False))
    assert expected(RunState(), process, PATH) == Expected(1_000, "weights")


@pytest.mark.parametrize(
    "process",
    [
        replace(FULL, ledger=Ledger()),
        replace(FULL, ledger=Ledger(weights_trainable=100)),
        replace(FULL, training=None),
        replace(FULL, world_size=2),
    ],
)
def test_what_the_ledger_does_not_say_is_not_guessed(process: Process) -> None:
    assert expected(RunState(), process, PATH) is None


def test_a_file_of_ones_own_is_not_guessed() -> None:
    assert expected(RunState(), FULL, Path("/out/model.pt")) is None


# --- told ---


def test_a_save_is_told_by_its_name_with_bytes_and_what_is_expected(
    tmp_path: Path,
) -> None:
    record = flight.FlightRecord(os.fspath(tmp_path / "7"))
    record.phase("save")
    record.describe(b"/data/out/checkpoint-5", since=time.monotonic() - 1)
    reading = flight.read((tmp_path / "7").read_bytes())
    assert reading is not None
    saving = Saving(210, Expected(300, "weights"))
    _, told = flights.observe(flights.Seen(), reading, time.monotonic(), saving)
    record.close()
    assert isinstance(told, ev.PhaseObserved)
    assert (told.detail, told.bytes) == ("checkpoint-5", 210)
    assert (told.total, told.total_by) == (300, "weights")
