from __future__ import annotations

from trainwatch.runner.fit.bill import CATEGORIES, SETUP, Peak, peaks, phase_name
from trainwatch.runner.fit.trace import Trace


def bill(**sizes: int) -> dict[str, int]:
    return {name: sizes.get(name, 0) for name in CATEGORIES}


def test_the_peak_of_each_phase_and_whose_it_is() -> None:
    trace = Trace()
    trace.begin(SETUP)
    weights = trace.allocate(100)
    trace.begin(phase_name(1, "forward"))
    hidden = trace.allocate(30)
    passing = trace.allocate(5)
    trace.free(passing)
    trace.begin(phase_name(1, "backward"))
    gradient = trace.allocate(10)
    trace.free(hidden)
    trace.begin(phase_name(1, "optimizer"))
    moment = trace.allocate(20)
    trace.free(gradient)
    labels = {weights: "weights_frozen", gradient: "gradients", moment: "exp_avg"}
    assert peaks(trace, labels) == [
        Peak(1, "forward", 135, bill(weights_frozen=100, activations_and_other=35)),
        Peak(
            1,
            "backward",
            140,
            bill(weights_frozen=100, gradients=10, activations_and_other=30),
        ),
        Peak(1, "optimizer", 130, bill(weights_frozen=100, gradients=10, exp_avg=20)),
    ]


def test_micro_steps_are_one_phase() -> None:
    trace = Trace()
    for size in (7, 9, 3):
        trace.begin(phase_name(1, "forward"))
        trace.free(trace.allocate(size))
    assert [(peak.phase, peak.bytes) for peak in peaks(trace, {})] == [("forward", 9)]


def test_what_a_phase_finds_counts_as_its_peak() -> None:
    trace = Trace()
    trace.begin(SETUP)
    trace.allocate(50)
    trace.begin(phase_name(2, "clip"))
    assert peaks(trace, {})[0] == Peak(2, "clip", 50, bill(activations_and_other=50))
