"""When a rising level meets its limit, and that a flat one never does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from trainwatch.runner import slope
from trainwatch.runner.state import Host, Level, Memory, PhaseNow, Process, Training

MB, GB = 10**6, 10**9
DATA = Path(__file__).parents[2] / "data" / "flat_levels.json"
FLAT = json.loads(DATA.read_text())["megabytes"]
"""RAM of fine-tuning runs on a CPU, as it was sampled: 30 to 500 MB up and down."""
LIMIT = 6 * GB


def noisy(seed: int, count: int, each: float = 0.0) -> list[tuple[float, float]]:
    """Real levels in random order, with `each` bytes more in each step."""
    chance = random.Random(seed)
    levels = FLAT[seed % len(FLAT)]
    return [
        (float(step), chance.choice(levels[len(levels) // 3 :]) * MB + each * step)
        for step in range(2, 2 + count)
    ]


def looks(points: list[tuple[float, float]]) -> list[slope.Trend]:
    """What is found after each of `points`."""
    found = (
        slope.fitted(points[:seen], "step", LIMIT, "RAM")
        for seen in range(1, len(points) + 1, 3)
    )
    return [trend for trend in found if trend is not None]


@pytest.mark.parametrize("run", range(len(FLAT)))
def test_a_real_flat_run_raises_nothing(run: int) -> None:
    points = [(float(i + 2), mb * MB) for i, mb in enumerate(FLAT[run])]
    assert looks(points) == []


@pytest.mark.parametrize("seed", range(10))
def test_ten_long_flat_runs_raise_nothing(seed: int) -> None:
    assert looks(noisy(seed, 160)) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_leak_of_50_mb_is_forecast_within_20_percent(seed: int) -> None:
    points = noisy(seed, 70, each=50 * MB)
    highest = max(y - 50 * MB * x for x, y in points)
    truly = (LIMIT - highest) / (50 * MB)
    found = looks([p for p in points if p[0] < truly])
    assert found
    assert found[-1].per_unit == pytest.approx(50 * MB, rel=0.2)
    assert found[-1].meets == pytest.approx(truly, rel=0.2)


def test_what_has_stopped_rising_is_not_a_leak() -> None:
    rising = [(float(i), 1 * GB + 50 * MB * min(i, 30)) for i in range(2, 31)]
    assert slope.fitted(rising, "step", LIMIT, "RAM") is not None
    process = leaking(rising)
    assert slope.trend(process, Host()) is not None
    # It is told only when it moves: 300 steps later the same level stands.
    assert slope.trend(replace(process, step=330), Host()) is None


def test_a_little_more_is_no_leak() -> None:
    points = [(float(i), 4 * GB + 0.5 * MB * i) for i in range(2, 60)]
    assert slope.fitted(points, "step", LIMIT, "RAM") is None


def leaking(points: list[tuple[float, float]]) -> Process:
    memory = Memory(rss=int(points[-1][1]), budget=LIMIT, budget_by="cgroup")
    process = Process(pid=1, step=0, training=Training(first_step=0), memory=memory)
    levels: tuple[Level, ...] = ()
    for step, held in points:
        levels = slope.add(levels, replace(memory, rss=int(held)), int(step), None)
    return replace(process, levels=levels, step=int(points[-1][0]))


def test_logits_that_an_evaluation_keeps_are_counted_in_batches() -> None:
    memory = Memory(allocated=0, budget=20 * GB, budget_by="card")
    levels: tuple[Level, ...] = ()
    for batch in range(1, 25):
        held = replace(memory, allocated=8 * GB + 300 * MB * batch)
        levels = slope.add(levels, held, 100, batch)
    process = Process(
        pid=1,
        step=100,
        memory=held,
        levels=levels,
        phase=PhaseNow("evaluate", rows=24, total=500),
    )
    trend = slope.trend(process, Host())
    assert trend is not None
    assert trend.unit == "batch"
    assert trend.meets == pytest.approx(40)
    # The levels of an evaluation are not those of its step.
    assert slope.trend(replace(process, phase=PhaseNow("forward")), Host()) is None


def test_the_levels_are_thinned_and_keep_the_last() -> None:
    levels: tuple[Level, ...] = ()
    for step in range(5000):
        levels = slope.add(levels, Memory(rss=step), step, None)
    assert len(levels) <= slope.POINTS
    assert (levels[0].step, levels[-1].step) == (0, 4999)


def test_the_ceiling_is_the_limit_that_is_met_first() -> None:
    ram = Memory(rss=2 * GB, budget=16 * GB, budget_by="RAM")
    assert slope.ceiling(ram, Host(ram_available=3 * GB)) == (5 * GB, "RAM")
    assert slope.ceiling(ram, Host()) == (16 * GB, "RAM")
    space = Memory(rss=2 * GB, reserved=3 * GB, budget=4 * GB, budget_by="RLIMIT_AS")
    assert slope.ceiling(space, Host(ram_available=GB)) == (4 * GB, "RLIMIT_AS")
    assert slope.level(space) == 3 * GB
    assert slope.ceiling(Memory(), Host()) == (None, "")
