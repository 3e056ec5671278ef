"""Which checkpoints are whole, which one can resume from, which one is offered."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from support.checkpoints import GOOD, WRITTEN, archive, safetensors, trainers
from trainwatch.probes import events as ev
from trainwatch.runner import room, salvage
from trainwatch.runner.checkpoints import MARKER, CheckpointWatcher, inspect
from trainwatch.runner.fold import fold
from trainwatch.runner.state import (
    EMPTY,
    Checkpoint,
    Host,
    Ledger,
    PhaseNow,
    Process,
    RunFacts,
    RunState,
    StepStat,
    Training,
)

NOW = 1_000_000.0


@pytest.mark.parametrize("count", range(1, len(WRITTEN)))
def test_a_trainers_save_that_was_cut_is_not_whole(tmp_path: Path, count: int) -> None:
    """Whichever file was the last: the state is written after all others."""
    folder = trainers(tmp_path / "checkpoint-7", WRITTEN[:count])
    found = inspect(folder, by_trainer=True)
    assert (found.complete, found.resumable) == (False, None)
    assert "trainer_state.json, which is written last, is missing" in found.detail


def test_a_trainers_whole_checkpoint(tmp_path: Path) -> None:
    found = inspect(trainers(tmp_path / "checkpoint-7"), deep=True, by_trainer=True)
    assert (found.step, found.complete, found.resumable) == (7, True, True)
    assert found.detail == ""


@pytest.mark.parametrize("name", WRITTEN[:5])
def test_a_file_cut_in_its_middle_is_named(tmp_path: Path, name: str) -> None:
    folder = trainers(tmp_path / "checkpoint-7")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    found = inspect(folder)
    assert found.complete is False
    assert name in found.detail


def test_weights_alone_are_whole_and_cannot_be_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "step_40"
    folder.mkdir()
    safetensors(folder / "adapter_model.safetensors", GOOD)
    found = inspect(folder)
    assert (found.complete, found.resumable) == (True, False)
    assert found.detail == "not resumable: weights only"
    kept = trainers(tmp_path / "checkpoint-9", (WRITTEN[0], WRITTEN[1], WRITTEN[-1]))
    assert inspect(kept, by_trainer=True).detail == "not resumable: weights only"


def test_what_accelerate_saves_is_the_scripts_own(tmp_path: Path) -> None:
    folder = tmp_path / "epoch_1"
    folder.mkdir()
    safetensors(folder / "model.safetensors", GOOD)
    archive(folder / "optimizer.bin")
    (folder / "random_states_0.pkl").write_bytes(b"x")
    found = inspect(folder)
    assert (found.complete, found.resumable) == (True, None)
    assert "own format" in found.detail


@pytest.mark.parametrize("name", [MARKER, "model.safetensors.tmp", ".tmpAb12"])
def test_traces_of_an_unfinished_save(tmp_path: Path, name: str) -> None:
    folder = trainers(tmp_path / "checkpoint-7")
    (folder / name).write_text("")
    assert inspect(folder).complete is False


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_an_index_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    folder = trainers(tmp_path / "checkpoint-7")
    (folder / "model.safetensors.index.json").write_text(text)
    assert "index.json is not readable" in inspect(folder).detail
    shards = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    assert "model-2.safetensors is missing" in inspect(folder).detail


def test_the_watcher_waits_for_a_save_and_looks_at_all_in_the_end(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    trainers(out / "checkpoint-1")
    watcher = CheckpointWatcher()
    watcher.watch(out, by_trainer=True)
    assert watcher.changed(time.monotonic()) == []
    folder = trainers(out / "checkpoint-2", WRITTEN[:3])
    later = time.monotonic() + 60
    watcher._touched[folder] = time.monotonic()
    assert watcher.changed(later, under_way={folder}) == []
    for file in folder.iterdir():
        os.utime(file, (NOW, NOW))
    trainers(out / "checkpoint-10")
    found = watcher.changed(later, everything=True)
    assert [(f.step, f.complete) for f in found] == [(2, False), (10, True)]
    assert abs((found[1].written or 0.0) - time.time()) < 60
    assert all(f.disk_free for f in found)
    assert watcher.changed(later, everything=True) == []
    shutil.rmtree(out / "checkpoint-10")
    watcher._touched[out / "checkpoint-10"] = time.monotonic()
    (gone,) = watcher.changed(later)
    assert (gone.step, gone.complete, gone.detail) == (10, None, "removed")
    watcher.close()


# --- what is left ---


def checkpoint(step: int, **more: object) -> Checkpoint:
    whole = {"complete": True, "resumable": True, "bytes": 100, "seen": NOW - 60 + step}
    return Checkpoint(f"out/checkpoint-{step}", step, **{**whole, **more})  # type: ignore[arg-type]


def after(step: int, *saved: Checkpoint, **run: object) -> RunState:
    lead = Process(
        pid=9,
        role="rank",
        step=step,
        training=Training("Trainer", output_dir="out", began=NOW - 100),
        steps=StepStat(count=step, last_ended=NOW),
    )
    return RunState(
        run=RunFacts(status="aborted", **run),  # type: ignore[arg-type]
        processes={9: lead},
        checkpoints={c.path: c for c in saved},
    )


def test_only_whole_checkpoints_are_good_and_only_resumable_ones_offered() -> None:
    state = after(
        9,
        checkpoint(2),
        checkpoint(4, resumable=False),
        checkpoint(6, complete=False, resumable=None),
        checkpoint(8, complete=None, resumable=None),
    )
    assert salvage.good(state) == state.checkpoints["out/checkpoint-4"]
    assert salvage.offered(state) == state.checkpoints["out/checkpoint-2"]
    assert salvage.resume_line(state) == "to go on: resume from out/checkpoint-2"
    assert salvage.resume_line(after(9, checkpoint(8, complete=False))) == ""


def test_what_is_lost_is_said_in_steps_and_minutes() -> None:
    assert salvage.unsaved(after(9, checkpoint(4)), NOW) == (
        "last good = step 4 (checkpoint-4): 5 steps, 56 s lost"
    )
    assert salvage.unsaved(after(4, checkpoint(4)), NOW) == (
        "last good is checkpoint-4, nothing after it is lost"
    )
    lost = "no checkpoint was saved: 9 steps, 1 min 40 s lost"
    assert salvage.unsaved(after(9, checkpoint(8, complete=False)), NOW) == lost
    assert salvage.unsaved(after(0), NOW) == "no step was done"
    assert salvage.unsaved(EMPTY, NOW) == "no training had begun"


def test_the_last_good_one_is_the_last_that_was_written() -> None:
    """Not the last that was looked at: in the end all are, at once."""
    state = after(
        9, checkpoint(8, written=NOW - 9, seen=NOW), checkpoint(6, written=NOW - 30)
    )
    assert salvage.unsaved(state, NOW) == (
        "last good = step 8 (checkpoint-8): 1 step, 9.0 s lost"
    )
    assert salvage.recent(after(9, checkpoint(8, ours=True, written=NOW)), NOW)


def test_a_recent_snapshot_is_told_and_the_users_own_is_not() -> None:
    mine = checkpoint(4, ours=True, seen=NOW - 20)
    assert salvage.recent(after(9, mine), NOW) == "checkpoint-4 was saved 20 s ago"
    assert salvage.recent(after(9, mine), NOW + 41) == ""
    assert salvage.recent(after(9, replace(mine, ours=False)), NOW) == ""
    assert salvage.recent(after(9, replace(mine, complete=False)), NOW) == ""


def test_a_checkpoint_stays_verified_until_it_changes() -> None:
    seen = ev.CheckpointSeen("out/checkpoint-2", 2, 100, True, True, verified=True)
    state = fold(EMPTY, ev.of(seen, time=1.0))
    again = replace(seen, verified=False, disk_free=5)
    state = fold(state, ev.of(again, time=2.0))
    assert state.checkpoints["out/checkpoint-2"].verified
    state = fold(state, ev.of(replace(again, bytes=90), time=3.0))
    assert not state.checkpoints["out/checkpoint-2"].verified


# --- room for the next one ---


def running(state: RunState, **host: object) -> RunState:
    return replace(state, run=RunFacts(status="running"), host=Host(**host))  # type: ignore[arg-type]


def test_the_next_checkpoint_is_as_large_as_the_last_and_must_fit() -> None:
    state = running(after(9, checkpoint(8, bytes=1_000, disk_free=900)))
    found = room.room(state)
    assert found is not None
    assert (found.needs, found.by, found.free, found.fits) == (
        *(1_000, "checkpoint-8", 900),
        False,
    )
    (raised,) = room.changes(state)
    assert isinstance(raised, ev.FindingRaised)
    assert (raised.severity, raised.kind) == ("serious", "resource")
    state = fold(state, ev.of(raised, time=NOW))
    assert room.changes(state) == []
    freed = checkpoint(9, bytes=1_000, disk_free=5_000, seen=NOW)
    state = replace(state, checkpoints={**state.checkpoints, freed.path: freed})
    assert room.changes(state) == [ev.FindingCleared(room.RULE, "5 kB are free")]


def test_while_one_is_written_the_one_after_it_is_what_must_fit() -> None:
    state = running(after(9, checkpoint(8, bytes=1_000, disk_free=2_500)))
    lead = replace(state.processes[9], phase=PhaseNow("save", total=1_000, bytes=400))
    saving = replace(state, processes={9: lead})
    found = room.room_after(saving)
    assert found is not None
    assert (found.needs, found.free, found.fits) == (1_000, 1_500, True)
    assert room.room_after(state) == room.room(state)


def test_the_oldest_goes_where_only_so_many_are_kept() -> None:
    state = running(after(9, checkpoint(8, bytes=1_000, disk_free=1_100)))
    lead = replace(state.processes[9], phase=PhaseNow("save", total=1_000))
    assert lead.training is not None
    kept = replace(lead, training=replace(lead.training, save_total_limit=1))
    found = room.room_after(replace(state, processes={9: lead}))
    assert found is not None
    assert not found.fits
    found = room.room_after(replace(state, processes={9: kept}))
    assert found is not None
    assert (found.free, found.fits) == (1_100, True)


def test_before_the_first_checkpoint_the_ledger_tells() -> None:
    state = running(after(1), disk_free=10)
    assert room.room(state) is None
    lead = replace(
        state.processes[9],
        ledger=Ledger(weights_trainable=100, exp_avg=100, exp_avg_sq=100),
        training=replace(state.processes[9].training, resumable=True),  # type: ignore[type-var]
    )
    found = room.room(replace(state, processes={9: lead}))
    assert found is not None
    assert (found.needs, found.free, found.fits) == (300, 10, False)


def test_nothing_is_told_of_a_loop_that_names_no_folder() -> None:
    lead = replace(after(1).processes[9], training=Training("plain loop"))
    state = running(replace(after(1), processes={9: lead}), disk_free=1)
    assert room.room(state) is None
    assert room.changes(state) == []
