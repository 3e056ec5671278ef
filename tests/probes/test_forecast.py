"""Forecasts of one process: optimizer, device and supervisor are made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from support import memory_scenes as scenes
from trainwatch.probes import events as ev
from trainwatch.probes import forecast, guard, jump

GB = 10**9


class Parameter:
    """As much of a tensor as is asked for."""

    requires_grad = True

    def __init__(self, numel: int, width: int = 4, device: str = "cuda") -> None:
        self.shape = (numel,)
        self.dtype = f"torch.float{8 * width}"
        self.device = SimpleNamespace(type=device)
        self.grad: Any = self
        self._width = width

    def numel(self) -> int:
        return self.shape[0]

    def element_size(self) -> int:
        return self._width

    def is_floating_point(self) -> bool:
        return True


class AdamW:
    """Counts as torch's own, by its name."""

    def __init__(self, *parameters: Parameter, **options: Any) -> None:
        self.state: dict[Any, Any] = {}
        group = {"foreach": None, "fused": None, "weight_decay": 0.01}
        group["decoupled_weight_decay"] = True
        self.param_groups = [{**group, "params": list(parameters), **options}]


AdamW.__module__ = "torch.optim.adamw"


class Mine(AdamW):
    """Somebody's own step."""


Mine.__module__ = "somewhere"


class Line:
    """The connection: what was said, and how often it was hurried."""

    def __init__(self) -> None:
        self.hurried: list[float] = []

    def hurry(self, within: float) -> None:
        self.hurried.append(within)


class Stage:
    """A process with a card of 25.4 GB, of which `free` are left."""

    def __init__(self, allocated: int) -> None:
        self.told: list[Any] = []
        self.ticks: list[Any] = []
        self.connection = Line()
        self.memory = scenes.card_sampler(allocated)
        self.timeline = SimpleNamespace(step=0)

    def emit(self, body: Any) -> None:
        self.told.append(body)


@pytest.fixture(autouse=True)
def nothing_hidden() -> Any:
    errors: list[str] = []
    guard.tell_to(lambda probe, error: errors.append(f"{probe}: {error}"))
    yield
    guard.tell_to(None)
    assert errors == []


def test_before_the_first_step_it_is_said_and_hurried() -> None:
    stage = Stage(17_600_000_000)
    optimizer = AdamW(Parameter(700_000_000, 2))
    forecast.Forecaster(stage).before_step(optimizer, 1)  # type: ignore[arg-type]
    (told,) = stage.told
    assert told.needs == 3 * 1_400_000_000 + jump.STEP
    assert (told.implementation, told.limit_by) == ("foreach", "card")
    # What the driver says is free, and what torch caches.
    assert told.headroom == 6_800_000_000 + 400_000_000
    assert (told.fits, told.alternative) == (True, "")
    assert stage.connection.hurried == [forecast.SOON_S]


def test_what_would_fit_is_computed_and_the_smallest_change_comes_first() -> None:
    stage = Stage(17_600_000_000)
    optimizer = AdamW(Parameter(1_400_000_000, 2))
    forecast.Forecaster(stage).before_step(optimizer, 1)  # type: ignore[arg-type]
    (told,) = stage.told
    assert (told.fits, told.alternative) == (False, "fused=True")
    assert told.alternative_needs == 2 * 2_800_000_000 + jump.STEP
    larger = AdamW(Parameter(2_200_000_000, 2))
    forecast.Forecaster(stage).before_step(larger, 1)  # type: ignore[arg-type]
    assert stage.told[-1].alternative == "AdamW8bit"
    hopeless = AdamW(Parameter(20_000_000_000, 2))
    forecast.Forecaster(stage).before_step(hopeless, 1)  # type: ignore[arg-type]
    assert stage.told[-1].alternative == ""


def test_an_optimizer_of_ones_own_cannot_be_told() -> None:
    stage = Stage(1 * GB)
    mine = Mine(Parameter(100))
    forecast.Forecaster(stage).before_step(mine, 1)  # type: ignore[arg-type]
    (told,) = stage.told
    assert (told.needs, told.fits) == (None, None)
    assert told.method == "cannot tell: no closed form of Mine"


def test_when_a_trainer_begins_gradients_are_still_to_come() -> None:
    stage = Stage(1 * GB)
    parameter = Parameter(1000, 4)
    parameter.grad = None
    wrapper = type("AcceleratedOptimizer", (), {})()
    wrapper.optimizer = AdamW(parameter, fused=True)
    teller = forecast.Forecaster(stage)  # type: ignore[arg-type]
    teller.at_begin(wrapper)
    (told,) = stage.told
    assert (told.asked, told.gradients) == ("train begin", 4000)
    assert told.needs == 4000 + 8000 + jump.STEP
    assert stage.connection.hurried == []
    teller.at_begin(None)
    assert len(stage.told) == 1


def test_the_backward_after_it_and_what_came_of_both() -> None:
    stage = Stage(17_600_000_000)
    teller = forecast.Forecaster(stage)  # type: ignore[arg-type]
    optimizer = AdamW(Parameter(500_000_000, 2), fused=True)
    teller.before_step(optimizer, 1)
    after = 17_600_000_000 + 2_000_000_000
    stage.memory = scenes.card_sampler(after)
    stage.memory.quiet_peak = 16_000_000_000
    torch: Any = stage.memory._torch
    torch.cuda.max_memory_allocated = lambda _: after
    teller.after_step(ev.LedgerMeasured(1, 1, 1, 1, GB, GB, 4))
    _, met, backward = stage.told
    assert (met.phase, met.step, met.got, met.at_most) == (
        "optimizer",
        1,
        2_000_000_000,
        False,
    )
    assert (met.state, met.state_got) == (2 * GB + 4, 2 * GB + 4)
    # The peak before was 18 GB; the state comes beside it, 19.6 GB are held.
    assert (backward.phase, backward.step) == ("backward", 2)
    assert backward.needs == 18 * GB + 2 * GB + 4 - after
    assert (backward.fits, backward.bound) == (True, False)
    stage.timeline.step = 1
    teller.tick(0.0)
    assert len(stage.told) == 3
    torch.cuda.max_memory_allocated = lambda _: after + 300_000_000
    stage.timeline.step = 2
    teller.tick(0.0)
    teller.tick(0.5)
    assert len(stage.told) == 4
    assert (stage.told[-1].phase, stage.told[-1].got) == ("backward", 300_000_000)


def test_a_peak_from_before_training_is_only_a_bound() -> None:
    stage = Stage(17_600_000_000)
    teller = forecast.Forecaster(stage)  # type: ignore[arg-type]
    stage.memory.quiet_peak = 24_900_000_000
    torch: Any = stage.memory._torch
    torch.cuda.max_memory_allocated = lambda _: 24_900_000_000
    teller.before_step(AdamW(Parameter(500_000_000, 2), fused=True), 1)
    teller.after_step(ev.LedgerMeasured(1, 1, 1, 1, GB, GB, 4))
    backward = stage.told[-1]
    assert backward.needs > backward.headroom
    assert (backward.bound, backward.fits) == (True, None)


def test_an_error_switches_off_the_forecast_and_nothing_else() -> None:
    errors: list[str] = []
    guard.tell_to(lambda probe, error: errors.append(probe))
    stage = Stage(GB)
    broken = SimpleNamespace(state={})
    forecast.Forecaster(stage).before_step(broken, 1)  # type: ignore[arg-type]
    stage.told.clear()
    broken = AdamW()
    broken.param_groups = [{}]
    forecast.Forecaster(stage).before_step(broken, 1)  # type: ignore[arg-type]
    assert errors == ["forecast"]
    guard.tell_to(lambda probe, error: None)


@pytest.mark.e2e
def test_new_groups_are_forecast_and_measured_again(run: Any) -> None:
    done = run(
        """
        import time
        import torch

        first, second = torch.nn.Linear(300, 300), torch.nn.Linear(200, 200)
        optimizer = torch.optim.AdamW(first.parameters())

        def train(until):
            while time.monotonic() < until:
                loss = first(torch.randn(4, 300)).sum()
                loss = loss + second(torch.randn(4, 200)).sum()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                time.sleep(0.05)

        train(time.monotonic() + 0.3)
        optimizer.add_param_group({"params": list(second.parameters())})
        train(time.monotonic() + 1.5)
        """
    ).check()
    bytes_of = [4 * (n * n + n) for n in (300, 200)]
    ledgers = done.of("ledger_measured")
    assert [one.exp_avg for one in ledgers] == [bytes_of[0], sum(bytes_of)]
    told = [f for f in done.of("forecast") if f.phase == "optimizer"]
    assert [f.state for f in told] == [2 * size + 2 * jump.STEP for size in bytes_of]
    assert [f.fits for f in told] == [True, True]
    met = [m for m in done.of("forecast_met") if m.phase == "optimizer"]
    assert met[0].state == met[0].state_got
