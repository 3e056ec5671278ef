from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from support.clock import Nanoseconds
from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.probes.timeline import Timeline


class Clock(Nanoseconds):
    def __init__(self) -> None:
        self.now = 100.0
        super().__init__(lambda: self.now)

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def timeline(clock: Clock, told: list[Any]) -> Timeline:
    return Timeline(None, told.append, clock)


def spend(timeline: Timeline, clock: Clock, phase: str, seconds: float) -> None:
    span = timeline.enter(phase)
    clock.pass_(seconds)
    timeline.leave(span)


def test_a_step_is_the_sum_of_its_phases(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    clock.pass_(0.1)
    spend(timeline, clock, "fetch", 0.2)
    for _ in range(2):
        loss = timeline.enter("loss")
        clock.pass_(0.01)
        spend(timeline, clock, "forward", 1.0)
        clock.pass_(0.02)
        timeline.leave(loss)
        spend(timeline, clock, "backward", 2.0)
    spend(timeline, clock, "optimizer", 0.5)
    timeline.end_step(1)
    (step,) = told
    assert isinstance(step, ev.StepEnded)
    assert step.step == 1
    assert step.micro_steps == 2
    assert step.phases == {
        "fetch": [1, 0.2],
        "forward": [2, 2.0],
        "loss": [2, 0.06],
        "backward": [2, 4.0],
        "optimizer": [1, 0.5],
        "other": [1, pytest.approx(0.1)],
    }
    assert step.seconds == pytest.approx(6.86)
    assert step.seconds == pytest.approx(sum(p[1] for p in step.phases.values()))


def test_what_runs_between_steps_is_not_in_them(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    evaluate = timeline.enter("evaluate")
    clock.pass_(3.0)
    assert timeline.enter("forward") is None
    assert timeline.enter("fetch") is None
    generate = timeline.enter("generate")
    clock.pass_(4.0)
    timeline.leave(generate)
    timeline.leave(evaluate)
    spend(timeline, clock, "forward", 1.0)
    clock.pass_(0.5)
    timeline.end_step(1)
    generated, evaluated, step = told
    assert (generated.phase, generated.seconds) == ("generate", 4.0)
    assert (evaluated.phase, evaluated.seconds) == ("evaluate", 3.0)
    assert step.seconds == 1.5
    assert step.phases == {"forward": [1, 1.0], "other": [1, 0.5]}


def test_the_next_step_begins_where_the_last_one_ended(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(7)
    clock.pass_(1.0)
    timeline.end_step(8)
    clock.pass_(0.25)
    spend(timeline, clock, "fetch", 0.5)
    timeline.end_step(9)
    assert [s.seconds for s in told] == [1.0, 0.75]
    assert told[1].phases["fetch"] == [1, 0.5]


def test_recomputation_stays_in_backward(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    backward = timeline.enter("backward")
    assert timeline.enter("forward") is None
    clock.pass_(1.0)
    timeline.leave(backward)
    timeline.end_step(1)
    assert told[0].phases["backward"] == [1, 1.0]
    assert "forward" not in told[0].phases


def test_a_closure_runs_inside_the_optimizer(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    optimizer = timeline.enter("optimizer")
    clock.pass_(0.5)
    spend(timeline, clock, "forward", 1.0)
    spend(timeline, clock, "backward", 2.0)
    timeline.leave(optimizer)
    timeline.end_step(1)
    assert told[0].phases["optimizer"] == [1, 0.5]
    assert told[0].phases["forward"] == [1, 1.0]


def test_loading_a_sample_is_part_of_the_fetch(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    fetch = timeline.enter("fetch")
    assert timeline.enter("load") is None
    assert timeline.enter("fetch") is None
    clock.pass_(1.0)
    timeline.leave(fetch)
    timeline.end_step(1)
    assert told[0].phases["fetch"] == [1, 1.0]


def test_spans_left_open_end_with_the_outer_one(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    loss = timeline.enter("loss")
    timeline.enter("forward")
    clock.pass_(1.0)
    timeline.leave(loss)
    timeline.enter("optimizer")
    clock.pass_(2.0)
    timeline.end_step(1)
    assert told[0].phases["forward"] == [1, 1.0]
    assert told[0].phases["optimizer"] == [1, 2.0]
    assert timeline.current() == ("step", 1)


def test_a_fetch_before_training_belongs_to_the_first_step(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    spend(timeline, clock, "fetch", 0.5)
    clock.pass_(0.25)
    timeline.begin_training(0)
    spend(timeline, clock, "forward", 1.0)
    timeline.end_step(1)
    assert told[0].seconds == 1.75
    assert told[0].phases["fetch"] == [1, 0.5]


def test_of_the_fetches_before_training_only_the_last_one_counts(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    fetch = flight.NUMBER["fetch"]
    for seconds in (5.0, 7.0, 0.5):
        outer, around = timeline.top, timeline.open
        timeline.go(fetch)
        clock.pass_(seconds)
        timeline.back(fetch, outer, around)
    clock.pass_(0.25)
    timeline.begin_training(0)
    timeline.end_step(1)
    assert told[0].seconds == pytest.approx(0.75)
    assert told[0].phases["fetch"] == [1, 0.5]


def test_fast_steps_are_told_in_sums(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    for step in range(1, 31):
        timeline.tokens += 8
        spend(timeline, clock, "forward", 0.008)
        clock.pass_(0.002)
        timeline.end_step(step)
    timeline.end_training()
    assert sum(s.count for s in told) == 30
    assert len(told) <= 4
    assert told[-1].step == 30
    assert sum(s.tokens for s in told) == 240
    assert sum(s.seconds for s in told) == pytest.approx(0.3)
    for step in told:
        assert step.phases["forward"][0] == step.count
        assert step.seconds == pytest.approx(sum(p[1] for p in step.phases.values()))


def test_a_slow_step_sends_the_fast_ones_first(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    clock.pass_(0.001)
    timeline.end_step(1)
    clock.pass_(1.0)
    timeline.end_step(2)
    assert [s.step for s in told] == [1, 2]


def test_a_waiting_sum_is_told_once_it_is_stale(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    clock.pass_(0.001)
    timeline.end_step(1)
    timeline.flush(0.2)
    assert told == []
    clock.pass_(0.3)
    timeline.flush(0.2)
    assert [s.step for s in told] == [1]


def test_short_parts_make_no_event_and_no_step_time(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    spend(timeline, clock, "log", 0.005)
    spend(timeline, clock, "log", 0.5)
    clock.pass_(1.0)
    timeline.end_step(1)
    logged, step = told
    assert logged.seconds == 0.5
    assert step.seconds == pytest.approx(1.0)


def test_a_generation_tells_its_parts(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    span = timeline.enter("generate")
    timeline.part(span, "prefill")
    clock.pass_(1.0)
    assert timeline.current()[0] == "prefill"
    timeline.part(span, "decode")
    clock.pass_(3.0)
    assert timeline.current()[0] == "decode"
    timeline.leave(span)
    assert [(p.phase, p.seconds) for p in told] == [
        ("prefill", 1.0),
        ("decode", 3.0),
        ("generate", 4.0),
    ]


def test_other_threads_do_not_count(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    spans: list[Any] = []
    thread = threading.Thread(target=lambda: spans.append(timeline.enter("forward")))
    thread.start()
    thread.join()
    assert spans == [None]


def test_where_an_error_came_from_is_the_innermost_phase(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(3)
    error = RuntimeError("boom")
    loss = timeline.enter("loss")
    forward = timeline.enter("forward")
    timeline.leave(forward, error)
    timeline.leave(loss, error)
    assert timeline.failed == (id(error), "forward", 3)


def test_the_flight_record_follows(
    clock: Clock, told: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "record"
    timeline = Timeline(flight.FlightRecord(str(path), clock), told.append, clock)

    def seen() -> flight.Reading:
        reading = flight.read(path.read_bytes())
        assert reading is not None
        return reading

    assert seen().phase == "start"
    data = timeline.enter("data", "Tokenizing", total=240)
    assert (seen().phase, seen().detail, seen().total) == ("data", "Tokenizing", 240)
    timeline.leave(data)
    assert (seen().phase, seen().detail) == ("other", "")
    timeline.begin_training(4)
    assert (seen().phase, seen().step) == ("step", 4)
    clock.pass_(1.0)
    loss = timeline.enter("loss")
    forward = timeline.enter("forward")
    assert (seen().phase, seen().since, seen().step) == (
        "forward",
        pytest.approx(101.0),
        4,
    )
    clock.pass_(1.0)
    timeline.leave(forward)
    assert (seen().phase, seen().since) == ("loss", pytest.approx(102.0))
    timeline.leave(loss)
    assert (seen().phase, seen().since) == ("step", pytest.approx(102.0))
    span = timeline.enter("generate")
    timeline.part(span, "decode")
    timeline.progress(tokens=17)
    assert (seen().phase, seen().tokens) == ("decode", 17)
    timeline.end()
    assert seen().phase == "end"


def test_a_forked_child_writes_nothing(
    clock: Clock, told: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "record"
    timeline = Timeline(flight.FlightRecord(str(path), clock), told.append, clock)
    timeline.begin_training(0)
    before = path.read_bytes()
    timeline.silence()
    timeline.leave(timeline.enter("forward"))
    timeline.end_step(1)
    timeline.end()
    assert told == []
    assert path.read_bytes() == before


def test_a_users_own_phase_is_filed_under_its_name(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    rollout = timeline.enter("custom", "rollout")
    clock.pass_(1.0)
    spend(timeline, clock, "forward", 2.0)
    reward = timeline.enter("custom", "reward")
    clock.pass_(0.5)
    assert timeline.enter("custom", "rollout") is None
    assert timeline.current() == ("reward", 0)
    timeline.leave(reward)
    generate = timeline.enter("generate")
    assert timeline.enter("forward") is None
    sampling = timeline.enter("custom", "sampling")
    clock.pass_(0.25)
    timeline.leave(sampling)
    clock.pass_(4.0)
    timeline.leave(generate)
    timeline.leave(rollout)
    timeline.end_step(1)
    sampled, generated, step = told
    assert (sampled.phase, sampled.detail, sampled.seconds) == (
        "custom",
        "sampling",
        pytest.approx(0.25),
    )
    assert (generated.phase, generated.seconds) == ("generate", 4.0)
    assert step.phases == {
        "forward": [1, 2.0],
        "reward": [1, 0.5],
        "rollout": [1, 1.0],
        "other": [1, 0.0],
    }
    assert step.seconds == 3.5


def test_a_users_own_phase_outlives_a_step(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    stage = timeline.enter("custom", "stage")
    clock.pass_(9.0)
    timeline.begin_training(0)
    for number in (1, 2):
        clock.pass_(1.0)
        lost = timeline.enter("loss")
        clock.pass_(0.5)
        timeline.end_step(number)
        timeline.leave(lost)
    assert timeline.current() == ("stage", 2)
    clock.pass_(3.0)
    timeline.leave(stage)
    timeline.end_training()
    before, first, second, after = told
    assert (before.detail, before.seconds, before.step) == (
        "stage",
        pytest.approx(9.0),
        None,
    )
    for step in (first, second):
        assert step.seconds == 1.5
        assert step.phases == {"loss": [1, 0.5], "stage": [1, 1.0], "other": [1, 0.0]}
    assert (after.detail, after.seconds, after.step) == (
        "stage",
        pytest.approx(3.0),
        2,
    )


def test_an_error_in_a_users_own_phase(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    error = RuntimeError("boom")
    span = timeline.enter("custom", "reward")
    timeline.leave(span, error)
    assert timeline.failed == (id(error), "reward", 0)


def test_compilation_inside_backward_is_told(
    timeline: Timeline, clock: Clock, told: list[Any]
) -> None:
    timeline.begin_training(0)
    backward = timeline.enter("backward")
    spend(timeline, clock, "compile", 5.0)
    clock.pass_(1.0)
    timeline.leave(backward)
    timeline.end_step(1)
    compiled, step = told
    assert (compiled.phase, compiled.seconds) == ("compile", 5.0)
    assert step.phases["backward"] == [1, 1.0]
    assert step.seconds == 1.0
