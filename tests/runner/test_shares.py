"""Where the time goes adds up, and one slow first step does not count."""

from __future__ import annotations

import pytest

from support.signals import PID, T0, Run
from trainwatch.probes import events as ev
from trainwatch.runner.shares import shares


def of(run: Run) -> dict[str, float]:
    lead = run.state.lead
    assert lead is not None
    return dict(shares(lead))


def test_the_parts_of_a_step_and_what_runs_between() -> None:
    run = Run().say(1, ev.PhaseEnded("save", 24.0))
    found = of(run)
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx(
        {"input": 0.05, "forward": 0.2, "backward": 0.25, "save": 0.5}
    )


def test_a_first_step_that_is_slow_is_left_out() -> None:
    run = Run()
    slow = ev.StepEnded(1, seconds=600.0, phases={"fetch": [1, 600.0]})
    run.events[5] = ev.of(slow, time=T0 - 22, pid=PID, rank=0)
    assert of(run)["input"] < 0.15


def test_before_there_are_steps_nothing_is_said() -> None:
    run = Run()
    del run.events[7:]
    assert of(run) == {}
