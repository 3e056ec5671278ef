from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from support.clock import Nanoseconds
from trainwatch.probes import guard
from trainwatch.probes.calls import NONE, Inner, phase_call
from trainwatch.probes.flight import RING
from trainwatch.probes.nesting import FETCH
from trainwatch.probes.timeline import Timeline


class World:
    """A timeline with a clock that functions spend."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Any] = []
        self.timeline = Timeline(None, self.told.append, Nanoseconds(lambda: self.now))

    def spends(self, phase: str, seconds: float, **options: Any) -> Any:
        """A function that is `phase` and takes `seconds`."""

        def function(*inside: Any) -> str:
            for each in inside:
                each()
            self.now += seconds
            return phase

        return phase_call(self.timeline, phase, function, **options)

    def quick(self) -> None:
        """From now on nobody is alert: the short way is taken."""
        guard.meter.on = False
        self.timeline.begin_training(0)
        assert not self.timeline.alert


@pytest.fixture
def world() -> Iterator[World]:
    guard.tell_to(None)
    was = guard.meter.on
    yield World()
    guard.meter.on = was


@pytest.fixture(params=["short", "alert"])
def training(world: World, request: Any) -> World:
    """Training, on the short way and on that of a step which is measured."""
    world.quick()
    if request.param == "alert":
        world.timeline.marks = lambda phase: None
    return world


def test_arguments_and_results_pass_through(training: World) -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    call = phase_call(training.timeline, "forward", function)
    assert call(1, two=2) == ((1,), {"two": 2})
    assert call.__wrapped__ is function
    assert phase_call(training.timeline, "forward", call) is call


def test_time_is_the_innermost_phases(training: World) -> None:
    forward = training.spends("forward", 2.0)
    loss = training.spends("loss", 1.0)
    loss(forward)
    training.now += 0.5
    training.timeline.end_step(1)
    (step,) = training.told
    assert step.phases == {
        "forward": [1, 2.0],
        "loss": [1, 1.0],
        "other": [1, 0.5],
    }


def test_a_phase_inside_itself_is_one(training: World) -> None:
    clip = training.spends("clip", 1.0)
    clip(clip)
    training.timeline.end_step(1)
    assert training.told[0].phases["clip"] == [1, 2.0]


def test_an_exception_passes_and_its_phase_is_noted(training: World) -> None:
    error = ValueError("boom")

    def breaks() -> None:
        training.now += 1.0
        raise error

    loss = phase_call(training.timeline, "loss", breaks)
    with pytest.raises(ValueError, match="boom") as caught:
        training.spends("fetch", 1.0)(loss)
    assert caught.value is error
    assert training.timeline.failed == (id(error), "loss", 0)
    assert training.timeline.open == 0
    training.timeline.end_step(1)
    assert training.told[0].phases["loss"] == [1, 1.0]


def test_the_end_of_the_data_is_no_failure(training: World) -> None:
    def fetch() -> None:
        raise StopIteration

    with pytest.raises(StopIteration):
        phase_call(training.timeline, "fetch", fetch)()
    assert training.timeline.failed is None


def test_what_is_no_phase_is_called_once_and_may_raise(training: World) -> None:
    called = []

    def breaks() -> None:
        called.append(1)
        raise KeyError("mine")

    call = phase_call(
        training.timeline, "forward", breaks, lambda args, kwargs: NONE, always=True
    )
    with pytest.raises(KeyError):
        call()
    assert called == [1]
    assert not guard.is_off("timeline")


def test_other_threads_are_left_alone(training: World) -> None:
    thread = threading.Thread(target=training.spends("forward", 1.0))
    thread.start()
    thread.join()
    training.timeline.end_step(1)
    assert "forward" not in training.told[0].phases


def test_our_own_error_switches_the_phases_off_and_nothing_else(
    training: World,
) -> None:
    def broken(args: Any, kwargs: Any) -> int:
        raise RuntimeError("ours")

    call = training.spends("forward", 1.0, before=broken, always=True)
    assert call() == "forward"
    assert guard.is_off("timeline")
    assert call() == "forward"
    assert training.timeline.owner == 0


def test_while_a_compiler_reads_there_is_nothing(training: World) -> None:
    call = training.spends("forward", 1.0, unless=lambda: True)
    call()
    training.timeline.end_step(1)
    assert "forward" not in training.told[0].phases


def test_nothing_is_lost_where_the_ring_goes_round(world: World) -> None:
    """Steps of many micro-steps, logs between them, against sums of our own."""
    world.quick()
    chance = random.Random(0)
    timeline = world.timeline
    spent = dict.fromkeys(("fetch", "forward", "backward", "log"), 0.0)

    def spend(phase: str) -> None:
        seconds = chance.uniform(0.0001, 0.004)
        spent[phase] += seconds
        world.now += seconds

    def room(args: Any, kwargs: Any) -> int:
        timeline.make_room()
        return FETCH

    fetch = phase_call(timeline, "fetch", spend, room, always=True)
    forward = phase_call(timeline, "forward", spend)
    backward = phase_call(timeline, "backward", spend)
    began, micro_steps, steps = world.now, 0, 120
    for step in range(1, steps + 1):
        many = 2 * RING if step % 40 == 0 else chance.randint(1, 3)
        for _ in range(many):
            fetch("fetch")
            forward("forward")
            backward("backward")
        micro_steps += many
        if chance.random() < 0.1:
            span = timeline.enter("log")
            spend("log")
            timeline.leave(span)
        timeline.end_step(step)
    timeline.flush()
    told = [body for body in world.told if hasattr(body, "micro_steps")]
    assert sum(body.count for body in told) == steps
    assert sum(body.micro_steps for body in told) == micro_steps
    for phase in ("fetch", "forward", "backward"):
        assert sum(body.phases[phase][0] for body in told) == micro_steps
        seconds = sum(body.phases[phase][1] for body in told)
        assert seconds == pytest.approx(spent[phase], abs=1e-3)
    total = sum(body.seconds for body in told)
    assert total == pytest.approx(world.now - began - spent["log"], abs=1e-3)


def test_inner_hooks_rest_and_work_again() -> None:
    class Owner:
        def name(self) -> str:
            return "bare"

    bare = Owner.name
    Owner.name = ours = phase_call(World().timeline, "clip", bare)  # type: ignore[method-assign]
    inner = Inner()
    inner.add(Owner, "name")
    inner.rest()
    assert Owner.name is bare
    inner.work()
    assert Owner.name is ours
    Owner.name = theirs = lambda self: "theirs"  # type: ignore[method-assign,assignment,misc]
    inner.rest()
    assert Owner.name is theirs
