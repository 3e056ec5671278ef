"""
Aborts, snapshots and kills of real runs; `benchmarks/drills.py` does many of them.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from support import drills
from support.runs import Trainwatch, console, facts, over, until

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("moment", "rung"),
    [("map", "step"), ("step", "step"), ("save", "now"), ("hung", "tree")],
)
def test_an_abort_ends_on_its_rung_and_leaves_nobody(
    trainwatch: Trainwatch, tmp_path: Path, moment: str, rung: str
) -> None:
    drill = drills.abort(trainwatch, moment, rung, tmp_path / "out")
    assert drill.faults == [], drill


def test_a_save_that_was_killed_is_incomplete_and_never_offered(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    drill = drills.killed_in_a_save(trainwatch, "optimizer", tmp_path / "out")
    assert drill.faults == [], drill


def test_a_snapshot_is_verified_and_resumes_as_if_nothing_had_been(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    drill = drills.snapshots(trainwatch, "sft_lora", 1, 12, tmp_path / "out")
    assert drill.faults == [], drill
    assert drill.card is not None
    found = {name: drill.card[name] for name in ("optimizer", "scheduler", "random")}
    assert found == {"optimizer": True, "scheduler": True, "random": True}
    assert drill.card["step"] == drill.steps[0]
    assert drill.card["rate_after"] > 0


def test_two_ranks_of_torchrun_stop_at_one_step_on_sigterm(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    torchrun = str(Path(sys.executable).parent / "torchrun")
    out = tmp_path / "out"
    done = trainwatch(
        *("run", "--detach", "--grace", "60", "--", torchrun, "--standalone"),
        *("--nproc_per_node", "2", str(drills.MOMENTS), "step", str(out)),
        env=drills.environment(),
    )
    folder = trainwatch.home / "runs" / done.stdout.strip()
    until(lambda: console(folder).count(b"at step") == 2, "both ranks", 120)
    os.kill(facts(folder)["supervisor"], signal.SIGTERM)
    ended = over(folder, 70)
    assert (ended["status"], ended["exit_code"]) == ("aborted", 0)
    document = trainwatch.show()
    assert drills.untrue(document, "step", out) == []
    steps = {p["step"] for p in document["processes"] if p["role"] == "rank"}
    assert len(steps) == 1
    assert (
        f"stopped after step {steps.pop()}; saved and verified"
        in (document["commands"][-1]["detail"])
    )
    assert drills.left_behind(folder, ended["child"]) == []
