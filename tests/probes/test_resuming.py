from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Thing

import pytest

from trainwatch.probes.resuming import resumed

STATE = Thing(
    global_step=8,
    log_history=[
        {"step": 4, "learning_rate": 2e-4},
        {"step": 8, "learning_rate": 1e-4},
        {"step": 8, "eval_loss": 1.0},
    ],
)
HANDLER = Thing(optimizer=Thing(param_groups=[{"lr": 9e-5}]))
ALL = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def holding(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("")
    return str(folder)


def test_what_a_whole_checkpoint_holds(tmp_path: Path) -> None:
    found = resumed(holding(tmp_path, *ALL), Thing(), STATE, HANDLER)
    assert (found.optimizer, found.scheduler, found.random) == (True, True, True)
    assert (found.rate_before, found.rate_step, found.rate_after) == (1e-4, 8, 9e-5)
    assert (found.step, found.path, found.skips) == (8, str(tmp_path), True)


@pytest.mark.parametrize("lacking", ["optimizer.pt", "scheduler.pt"])
def test_a_trainer_restores_optimizer_and_scheduler_or_none(
    tmp_path: Path, lacking: str
) -> None:
    names = [name for name in ALL if name != lacking]
    found = resumed(holding(tmp_path, *names), Thing(), STATE, HANDLER)
    assert (found.optimizer, found.scheduler, found.random) == (False, False, True)


def test_deepspeed_keeps_its_states_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "global_step8").mkdir()
    found = resumed(holding(tmp_path, "scheduler.pt"), Thing(), STATE, HANDLER)
    assert (found.optimizer, found.scheduler, found.random) == (True, True, False)


def test_a_folder_that_is_not_known_tells_nothing() -> None:
    args = Thing(ignore_data_skip=True)
    found = resumed("", args, Thing(global_step=3, log_history=[]), None)
    assert (found.optimizer, found.scheduler, found.random) == (None, None, None)
    assert (found.path, found.rate_before, found.rate_after) == ("", None, None)
    assert found.skips is False
