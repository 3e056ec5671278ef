"""Steps by the device's clock, with a device that is made up."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from support.clock import Nanoseconds
from trainwatch.probes import device, guard
from trainwatch.probes import events as ev
from trainwatch.probes.timeline import Timeline

LAUNCH_S = 0.001
"""What the host needs to launch a phase."""
WORK = {"fetch": 0.0, "forward": 0.2, "backward": 0.5, "optimizer": 0.1}


class Device:
    """A queue of work with a host clock: events pass when the work before is done."""

    name = "made-up events"

    def __init__(self) -> None:
        self.now = 100.0
        self.idle_at = 100.0
        self.capturing = False
        self.recorded = 0
        self.asked_too_early = 0
        self.released: list[float] = []
        self.broken = False

    def clock(self) -> float:
        return self.now

    def launch(self, seconds: float) -> None:
        self.now += LAUNCH_S
        self.idle_at = max(self.idle_at, self.now) + seconds

    def wait(self) -> None:
        self.now = max(self.now, self.idle_at)

    # --- what the sampler asks ---

    def closed(self) -> bool:
        return self.capturing

    def record(self) -> float:
        if self.broken:
            raise RuntimeError("no such stream")
        assert not self.capturing
        self.recorded += 1
        return max(self.now, self.idle_at)

    def query(self, event: float) -> bool:
        return event <= self.now

    def elapsed(self, first: float, second: float) -> float:
        if max(first, second) > self.now:
            self.asked_too_early += 1
        return second - first

    def release(self, events: list[float]) -> None:
        self.released += events


class Training:
    """A loop that launches WORK, step after step, and waits for nothing."""

    def __init__(self) -> None:
        self.device = Device()
        self.told: list[Any] = []
        self.timeline = Timeline(None, self.told.append, Nanoseconds(self.device.clock))
        self.sampler = device.Sampler(
            self.timeline, self.device, self.told.append, self.device.clock
        )
        self.timeline.begin_training(0)
        self.done = 0

    def step(self, *, wait: bool = True, micro_steps: int = 1) -> None:
        self.sampler.tick(self.device.now)
        for phase, seconds in WORK.items():
            for _ in range(1 if phase == "optimizer" else micro_steps):
                span = self.timeline.enter(phase)
                self.device.launch(seconds)
                self.timeline.leave(span)
        if wait:
            self.device.wait()
        self.done += 1
        self.timeline.end_step(self.done)

    def timed(self) -> list[ev.DeviceTimed]:
        return [body for body in self.told if isinstance(body, ev.DeviceTimed)]


@pytest.fixture
def training() -> Training:
    return Training()


def test_work_is_found_in_its_phase_where_the_host_saw_its_launch(
    training: Training,
) -> None:
    for _ in range(5):
        training.step()
    first = training.timed()[0]
    for phase, seconds in WORK.items():
        assert first.phases[phase] == pytest.approx(seconds, abs=2 * LAUNCH_S)
    assert first.seconds == pytest.approx(sum(first.phases.values()))
    host = next(b for b in training.told if isinstance(b, ev.StepEnded))
    assert host.phases["backward"][1] == pytest.approx(LAUNCH_S)


def test_a_sample_is_read_only_once_the_device_has_passed_it(
    training: Training,
) -> None:
    training.step(wait=False)
    training.step(wait=False)
    training.step(wait=False)
    assert training.timed() == []
    training.device.wait()
    training.step(wait=False)
    assert len(training.timed()) == 1
    assert training.device.asked_too_early == 0


def test_a_device_that_never_arrives_is_given_up(training: Training) -> None:
    for _ in range(2 + device.PATIENCE):
        training.step(wait=False)
    assert training.timed() == []
    assert training.timeline.marks is None
    assert training.device.released


def test_the_first_steps_are_sampled_then_one_in_ten(training: Training) -> None:
    for _ in range(100):
        training.step()
    timed = training.timed()
    assert [body.sampled for body in timed] == list(range(1, len(timed) + 1))
    assert timed[-1].steps <= 100
    steps = [body.step for body in timed]
    assert steps[: device.FIRST] == [2, 5, 8]
    later = steps[device.FIRST :]
    assert all(b - a >= device.EVERY for a, b in pairwise(later))
    assert 5 <= len(later) <= 100 / device.EVERY


def test_sampling_becomes_rarer_where_it_costs_more(training: Training) -> None:
    slow = training.device.record

    def record() -> float:
        training.device.now += 0.01
        return slow()

    training.device.record = record  # type: ignore[method-assign]
    for _ in range(150):
        training.step()
    late = [body.step for body in training.timed()][device.FIRST :]
    assert late == [] or late[0] - 8 > 4 * device.EVERY


def test_no_event_is_recorded_between_the_samples(training: Training) -> None:
    while len(training.timed()) < device.FIRST:
        training.step()
    recorded = training.device.recorded
    for _ in range(device.EVERY - 2):
        training.step()
    assert training.device.recorded == recorded
    assert training.timeline.marks is None


def test_accumulated_micro_steps_add_up(training: Training) -> None:
    for _ in range(4):
        training.step(micro_steps=4)
    phases = training.timed()[0].phases
    assert phases["backward"] == pytest.approx(4 * WORK["backward"], abs=0.01)


def test_a_users_own_phase_in_a_step_counts(training: Training) -> None:
    training.step()
    span = training.timeline.enter("custom", "augment")
    training.device.launch(0.3)
    training.timeline.leave(span)
    training.step()
    training.step()
    (timed,) = training.timed()
    assert timed.phases["augment"] == pytest.approx(0.3, abs=2 * LAUNCH_S)


def test_what_runs_between_steps_is_left_out(training: Training) -> None:
    training.step()
    span = training.timeline.enter("evaluate")
    training.device.launch(7.0)
    training.timeline.leave(span)
    training.step()
    training.step()
    (timed,) = training.timed()
    assert "evaluate" not in timed.phases
    assert timed.seconds < 1.0


def test_while_a_graph_is_captured_nothing_is_recorded(training: Training) -> None:
    training.device.capturing = True
    training.step()
    training.step()
    assert training.device.recorded == 0
    training.device.capturing = False
    for _ in range(4):
        training.step()
    assert training.timed()


def test_a_step_of_very_many_borders_is_dropped(training: Training) -> None:
    for _ in range(4):
        training.step(micro_steps=device.MOST)
    assert training.timed() == []
    assert training.device.recorded <= 4 * device.MOST


def test_after_training_nothing_is_recorded(training: Training) -> None:
    training.step()
    training.step()
    training.timeline.end_training()
    recorded = training.device.recorded
    span = training.timeline.enter("save")
    training.timeline.leave(span)
    training.sampler.tick(training.device.now)
    assert training.device.recorded == recorded
    assert training.timeline.marks is None


def test_a_broken_device_switches_the_sampler_off_and_nothing_else(
    training: Training,
) -> None:
    failures: list[tuple[str, str]] = []
    guard.tell_to(lambda probe, error: failures.append((probe, error)))
    try:
        training.device.broken = True
        for _ in range(5):
            training.step()
    finally:
        guard.tell_to(None)
    assert failures == [("device", "RuntimeError: no such stream")]
    assert training.timeline.marks is None
    assert training.timeline.steps == 5


class FakeEvent:
    made = 0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        FakeEvent.made += 1
        self.stream = ""

    def record(self, stream: str) -> None:
        self.stream = stream

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: FakeEvent) -> float:
        return 250.0


def test_cuda_is_asked_in_its_own_words_and_events_are_used_again() -> None:
    """The calls and the milliseconds of `torch.cuda.Event`; no hardware."""
    cuda = SimpleNamespace(
        Event=FakeEvent,
        current_stream=lambda index: f"stream of {index}",
        is_current_stream_capturing=lambda: False,
    )
    FakeEvent.made = 0
    events = device.CudaEvents(cuda, 1)
    first, second = events.record(), events.record()
    assert first.stream == "stream of 1"
    assert events.name == "cuda events on cuda:1"
    assert events.query(second)
    assert events.elapsed(first, second) == 0.25
    events.release([first, second])
    events.record()
    assert FakeEvent.made == 2
    assert not events.closed()


def process_on(devices: dict[str, int]) -> Any:
    timeline = Timeline(None, lambda body: None)
    cuda = SimpleNamespace(current_device=lambda: 3)
    process = SimpleNamespace(
        loop=SimpleNamespace(torch=SimpleNamespace(cuda=cuda)),
        timeline=timeline,
        sampler=None,
        ticks=[],
        emit=lambda body: None,
    )
    device.watch(process, devices)
    return process


@pytest.mark.parametrize(
    ("devices", "watched"),
    [
        ({"cpu": 10}, False),
        ({"mps:0": 10}, False),
        ({"cuda:0": 10}, True),
        ({"cuda": 10}, True),
        ({"cuda:0": 10, "cpu": 1}, True),
        ({"cuda:0": 10, "cuda:1": 10}, False),
    ],
)
def test_only_one_cuda_device_is_watched(
    devices: dict[str, int], watched: bool
) -> None:
    process = process_on(devices)
    assert bool(process.ticks) is watched
    assert process.timeline.marks is None
