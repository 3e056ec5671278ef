"""Which rung is due when, and what a resumed run is told to have found."""

from __future__ import annotations

import pytest

from trainwatch.runner import ladder


@pytest.mark.parametrize("grace", [0.5, 2.0, 10.0, 30.0, 300.0])
def test_the_rungs_follow_in_order_and_kill_before_the_end(grace: float) -> None:
    stood, rung = [], "step"
    for tick in range(1000):
        rung = ladder.due(tick / 1000 * grace, grace, rung, saving=False)
        if not stood or stood[-1] != rung:
            stood.append(rung)
    assert stood == list(ladder.RUNGS)
    assert 0 < ladder.until(grace, "now") < ladder.until(grace, "tree")
    assert ladder.until(grace, "tree") < ladder.until(grace, "kill") < grace


def test_most_of_a_long_grace_is_for_the_step_and_its_save() -> None:
    assert ladder.until(300, "now") == 288
    assert ladder.until(30, "now") > 19


def test_a_save_is_let_end_until_only_a_kill_is_left() -> None:
    assert ladder.due(25, 30, "step", saving=True) == "step"
    assert ladder.due(25, 30, "step", saving=False) == "tree"
    assert ladder.due(29, 30, "step", saving=True) == "kill"


def test_it_never_goes_back() -> None:
    assert ladder.due(0, 30, "tree", saving=False) == "tree"
    assert ladder.due(28.5, 30, "kill", saving=True) == "kill"


def test_a_rung_says_where_it_stands() -> None:
    assert ladder.place("step") == "rung 1 of 4, finish the step and save"
    assert ladder.place("kill") == "rung 4 of 4, kill"
