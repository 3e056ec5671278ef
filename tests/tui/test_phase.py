"""The running phase against what is usual, and the room for the next checkpoint."""

from __future__ import annotations

from dataclasses import replace

from support import scenes
from trainwatch.runner.state import PhaseNow, PhaseStat, Process, Usual
from trainwatch.tui.panels.phase import next_one, running

LAST = {"load": Usual(count=1, seconds=12.0, spread=0.0, slowest=12.0, first=12.0)}
LOADING = Process(phase=PhaseNow("load", since=100.0, seen=103.0))


def test_the_usual_of_the_last_run_stands_where_this_one_has_none() -> None:
    said = running(LOADING, 103.0, 76, False, LAST).plain
    assert said.endswith("usual 12 s last run")
    assert "usual" not in running(LOADING, 103.0, 76, False).plain


def test_the_usual_of_this_run_is_the_better_one() -> None:
    known = replace(LOADING, phases={"load": PhaseStat(1, 3.0, 3.0, (3.0,))})
    said = running(known, 103.0, 76, False, LAST).plain
    assert said.endswith("usual 3.0 s")


def test_the_next_checkpoint_is_told_only_while_one_is_written() -> None:
    saving = scenes.saving().state
    told = next_one(saving)
    assert told is not None
    assert told.plain.startswith("next one about ")
    assert next_one(scenes.live().state) is None


def test_a_next_checkpoint_that_will_not_fit_is_told() -> None:
    saving = scenes.saving().state
    paths = {
        path: replace(found, disk_free=7_000_000_000)
        for path, found in saving.checkpoints.items()
    }
    full = replace(
        saving, checkpoints=paths, host=replace(saving.host, disk_free=3_000_000_000)
    )
    told = next_one(full)
    assert told is not None
    assert told.plain.startswith("next one does not fit: about ")
