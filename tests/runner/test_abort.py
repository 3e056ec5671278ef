"""The rungs of an abort, one by one, on a process that is really there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.checkpoints import trainers
from support.runs import until
from support.supervising import Supervising
from trainwatch.probes import events as ev
from trainwatch.runner.abort import Abort
from trainwatch.runner.requests import agreed_step
from trainwatch.runner.snapshot import Snapshot
from trainwatch.runner.state import Process, StepStat

STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
    "print('up', flush=True)\n"
    "while True: time.sleep(0.05)"
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Supervising]:
    made = Supervising(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Supervising]:
    """It does not end by SIGTERM, and says when it gets one."""
    made = Supervising(tmp_path, STUBBORN)
    assert made.command.stdout is not None
    assert made.command.stdout.readline() == "up\n"
    yield made
    made.close()


def ended(run: Supervising, command: Abort) -> ev.CommandFinished:
    """What it says once the process has ended."""
    run.command.wait(20)
    command.child_ended(run.command.returncode)
    last = run.told[-1]
    assert isinstance(last, ev.CommandFinished)
    return last


def test_the_first_rung_saves_and_stops_and_reads_what_was_saved(
    run: Supervising, tmp_path: Path
) -> None:
    line = run.rank(9, 7)
    abort = run.start(Abort, how="step")
    assert [(m["request"], m["at_step"]) for m in line.asked] == [("finish", None)]
    assert "rung 1 of 4" in run.said
    assert "end of step 8 (usually 0.5 s), then saving" in run.said
    path = trainers(tmp_path / "out" / "checkpoint-8")
    run.emit(ev.CheckpointSaved(str(path), 8, 0.25, 100, True))
    run.answered(abort, 9, path=str(path), step=8)
    assert "stopped after step 8, saved checkpoint-8" in run.said
    assert run.state.commands[-1].saved == str(path)
    run.command.terminate()
    done = ended(run, abort)
    assert done.outcome == "done"
    assert done.detail.startswith(
        "stopped after step 8; saved and verified: checkpoint-8, "
    )
    assert "in 0.2 s, the trainer can resume from it" in done.detail
    assert done.path == str(path)


def test_what_was_not_saved_whole_is_not_called_saved(
    run: Supervising, tmp_path: Path
) -> None:
    run.rank(9, 7)
    abort = run.start(Abort, how="step")
    path = trainers(tmp_path / "out" / "checkpoint-8")
    (path / "trainer_state.json").unlink()
    run.answered(abort, 9, path=str(path), step=8)
    run.command.terminate()
    assert "saved, but not whole: checkpoint-8: trainer_state.json" in (
        ended(run, abort).detail
    )


def test_a_save_that_failed_is_said_with_what_is_lost(run: Supervising) -> None:
    run.rank(9, 7)
    abort = run.start(Abort, how="step")
    run.answered(abort, 9, "failed", detail="OSError: disk full", step=8)
    run.command.terminate()
    detail = ended(run, abort).detail
    assert detail.startswith("stopped after step 8; stopped unsaved: no checkpoint")
    assert "OSError: disk full" in detail


def test_where_no_step_runs_it_interrupts(run: Supervising) -> None:
    abort = run.start(Abort, how="step")
    assert "no step is running: interrupted it (SIGINT)" in run.said
    assert "`abort --now` does not wait" in run.said
    assert ended(run, abort).detail == "ended by SIGINT"


def test_a_loop_that_refuses_is_interrupted(run: Supervising) -> None:
    run.rank(9, 7)
    abort = run.start(Abort, how="step")
    run.answered(abort, 9, "refused", detail="training ended at step 7", step=7)
    assert "training ended at step 7: interrupted it" in run.said
    assert "ended by SIGINT; stopped unsaved" in ended(run, abort).detail


@pytest.mark.parametrize(("how", "sent"), [("now", "command"), ("tree", "all it")])
def test_a_save_is_waited_for_before_the_command_is_asked_to_end(
    stubborn: Supervising, how: str, sent: str
) -> None:
    stubborn.rank(9, 7)
    stubborn.records[9].phase = "save"
    stubborn.emit(
        ev.PhaseObserved(9, "save", 1e9 - 10, 7, bytes=10, detail="checkpoint-7")
    )
    abort = stubborn.start(Abort, how=how)
    assert not abort.acted
    assert "saving checkpoint-7" in stubborn.said
    assert "another abort waits for it, only kill does not" in stubborn.said
    second = stubborn.start(Abort, how=how)
    for _ in range(5):
        stubborn.tick(abort)
        stubborn.tick(second)
    assert not abort.acted
    stubborn.records[9].phase = "backward"
    stubborn.tick(abort)
    assert abort.acted
    assert stubborn.command.stdout is not None
    assert stubborn.command.stdout.readline() == "asked\n"
    assert sent in stubborn.said


def test_an_interrupt_waits_for_a_save_too(run: Supervising) -> None:
    """As at the end of a script: no step runs, and the model is written."""
    run.rank(9, 7, ended=1e9 - 1)
    run.records[9].phase = "save"
    abort = run.start(Abort, how="step")
    run.tick(abort)
    assert run.command.poll() is None
    assert "then it is interrupted" in run.said
    run.records[9].phase = "end"
    run.tick(abort)
    assert ended(run, abort).detail.startswith("ended by SIGINT")


def test_kill_waits_for_nothing(stubborn: Supervising) -> None:
    stubborn.rank(9, 7)
    stubborn.records[9].phase = "save"
    abort = stubborn.start(Abort, how="kill")
    assert stubborn.command.wait(10) == -signal.SIGKILL
    assert "rung 4 of 4, kill: SIGKILL to all its processes" in stubborn.said
    assert ended(stubborn, abort).detail.startswith("killed; stopped unsaved")


def test_a_second_press_follows_the_first(run: Supervising) -> None:
    line = run.rank(9, 7)
    first = run.start(Abort, how="step")
    second = run.start(Abort, how="step")
    assert len(line.asked) == 1
    assert "an abort is under way already (rung 1 of 4" in run.said
    run.command.terminate()
    assert ended(run, first).detail == "the run ended by itself"
    assert "ended by the abort before it" in ended(run, second).detail


def test_within_a_grace_period_the_rungs_follow(stubborn: Supervising) -> None:
    stubborn.rank(9, 7)
    abort = stubborn.start(Abort, how="step", grace=10.0)
    assert "10 s of grace left" in stubborn.said
    assert "stop now in 6 s" in stubborn.said
    stubborn.tick(abort, 6.0)
    assert abort.rung == "step"
    stubborn.tick(abort, 1.0)
    assert abort.rung == "now"
    assert stubborn.command.stdout is not None
    assert stubborn.command.stdout.readline() == "asked\n"
    stubborn.tick(abort, 1.5)
    assert abort.rung == "tree"
    assert stubborn.command.poll() is None
    stubborn.tick(abort, 0.6)
    assert abort.rung == "kill"
    assert stubborn.command.wait(10) == -signal.SIGKILL
    assert ended(stubborn, abort).detail.startswith("killed")


def test_a_grace_period_climbs_from_an_abort_that_was_under_way(
    stubborn: Supervising,
) -> None:
    line = stubborn.rank(9, 7)
    stubborn.start(Abort, how="step")
    later = stubborn.start(Abort, how="step", grace=2.0)
    assert len(line.asked) == 1
    stubborn.tick(later, 1.9)
    assert stubborn.command.wait(10) == -signal.SIGKILL
    assert ended(stubborn, later).detail.startswith("killed")


def test_a_save_holds_the_rungs_until_the_last(stubborn: Supervising) -> None:
    stubborn.rank(9, 7)
    abort = stubborn.start(Abort, how="step", grace=10.0)
    stubborn.records[9].phase = "save"
    stubborn.tick(abort, 8.9)
    assert abort.rung == "step"
    stubborn.tick(abort, 0.2)
    assert abort.rung == "kill"


def test_what_the_command_left_behind_is_ended(tmp_path: Path) -> None:
    """A daemon of its own session that does not end by SIGTERM."""
    code = (
        "import os, signal, subprocess, sys, time\n"
        "stay = 'import signal, time; signal.signal(15, signal.SIG_IGN); "
        'print("up", flush=True); time.sleep(60)\'\n'
        "subprocess.Popen([sys.executable, '-c', stay], start_new_session=True)\n"
        "time.sleep(60)"
    )
    run = Supervising(tmp_path, code)
    try:
        assert run.command.stdout is not None
        assert run.command.stdout.readline() == "up\n"
        abort = run.start(Abort, how="now")
        detail = ended(run, abort).detail
        assert "1 process it left behind was ended, 1 by SIGKILL" in detail
        assert abort.tree.members() == []
    finally:
        run.close()


# --- several ranks ---


def test_ranks_agree_on_a_step_ahead_of_the_furthest() -> None:
    slow, fast = StepStat(recent=(2.0,)), StepStat(recent=(0.05,))
    ranks = [Process(pid=1, steps=slow), Process(pid=2, steps=slow)]
    assert agreed_step(ranks[:1], [7]) is None
    assert agreed_step(ranks, [7, 8]) == 10
    assert agreed_step([replace(p, steps=fast) for p in ranks], [7, 8]) == 18
    assert agreed_step(ranks, [7, 8], tries=1) == 12


def test_all_ranks_are_asked_for_the_same_step_by_their_flight_records(
    run: Supervising,
) -> None:
    lines = [run.rank(9, 7, world=2), run.rank(10, 7, world=2)]
    run.records[10].step = 9
    abort = run.start(Abort, how="step")
    assert [line.asked[0]["at_step"] for line in lines] == [11, 11]
    assert "end of step 11" in run.said
    for line in lines:
        run.answered(abort, line.pid, step=11, path="" if line.pid == 10 else "x")
    assert abort.stopped_at == 11


def test_a_rank_that_was_past_the_step_makes_all_agree_again(run: Supervising) -> None:
    lines = [run.rank(9, 7, world=2), run.rank(10, 7, world=2)]
    abort = run.start(Abort, how="step")
    run.answered(abort, 9, "refused", detail="step 9 is already past", step=9)
    assert lines[1].asked[-1]["request"] == "cancel"
    assert abort.stopped_at is None
    run.answered(abort, 10, "refused", detail="cancelled", step=8)
    assert [line.asked[-1]["at_step"] for line in lines] == [11, 11]
    for line in lines:
        run.answered(abort, line.pid, step=11)
    assert abort.stopped_at == 11


def test_a_part_of_the_ranks_is_not_stopped_alone(run: Supervising) -> None:
    line = run.rank(9, 7, world=4)
    snapshot = run.start(Snapshot)
    assert line.asked == []
    snapshot.tick(run.now + 10)
    assert "only 1 of 4 ranks can be asked" in snapshot.access.told[-1].detail


def test_a_deaf_rank_stops_nobody(run: Supervising) -> None:
    first, second = run.rank(9, 7, world=2), run.rank(10, 7, world=2)
    second.deaf = True
    run.start(Abort, how="step")
    assert [m["request"] for m in first.asked] == ["finish", "cancel"]
    assert "did not take the request: interrupted it" in run.said


def test_a_rank_that_died_is_not_waited_for(run: Supervising) -> None:
    run.rank(9, 7)
    abort = run.start(Abort, how="step")
    gone = replace(run.state.processes[9], left=1e9)
    run.state = replace(run.state, processes={9: gone})
    run.tick(abort)
    assert abort.request is not None
    assert abort.request.settled


# --- snapshots ---


def test_a_snapshot_is_read_whole_and_not_taken_twice_within_a_minute(
    run: Supervising, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: run.now)
    run.rank(9, 7)
    snapshot = run.start(Snapshot)
    path = trainers(tmp_path / "out" / "checkpoint-8")
    run.emit(ev.CheckpointSaved(str(path), 8, 0.25, 100, True))
    run.answered(snapshot, 9, path=str(path), step=8)
    until(lambda: run.tick(snapshot) or snapshot.outcome, "an outcome", 10)
    assert snapshot.outcome == "done"
    done = run.told[-1]
    assert isinstance(done, ev.CommandFinished)
    assert done.detail.startswith("saved and verified: checkpoint-8, ")
    assert run.state.checkpoints[str(path)].verified
    second = run.start(Snapshot)
    assert second.outcome == "refused"
    assert "`snapshot --again` takes another one" in run.told[-1].detail
    assert run.start(Snapshot, again=True).outcome is None


def test_a_snapshot_says_that_it_is_still_saving(run: Supervising) -> None:
    run.rank(9, 7)
    snapshot = run.start(Snapshot)
    run.records[9].phase = "save"
    run.emit(ev.PhaseObserved(9, "save", 1e9 - 5, 7, bytes=10, detail="checkpoint-8"))
    run.tick(snapshot, 4.0)
    assert run.said.startswith("still saving after 4 s")


def test_a_damaged_checkpoint_is_a_failed_snapshot(
    run: Supervising, tmp_path: Path
) -> None:
    run.rank(9, 7)
    snapshot = run.start(Snapshot)
    path = trainers(tmp_path / "out" / "checkpoint-8")
    data = bytearray((path / "optimizer.pt").read_bytes())
    data[data.index(bytes(range(100, 120)))] ^= 1
    (path / "optimizer.pt").write_bytes(data)
    run.answered(snapshot, 9, path=str(path), step=8)
    until(lambda: run.tick(snapshot) or snapshot.outcome, "an outcome", 10)
    assert snapshot.outcome == "failed"
    assert "optimizer.pt: archive/data/0: its bytes do not match" in (
        run.told[-1].detail
    )
