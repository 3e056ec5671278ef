"""The length of a plain loop, by its bar: believed on evidence only."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from trainwatch.probes.bars import Bars


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What stands in for the live bars of tqdm."""
    live: list[Any] = []
    std = SimpleNamespace(tqdm=SimpleNamespace(_instances=live))
    monkeypatch.setitem(sys.modules, "tqdm.std", std)
    return live


def bar(total: int | None, over: Any, n: int = 0) -> Any:
    return SimpleNamespace(total=total, iterable=over, n=n, disable=False)


def test_a_bar_over_the_steps_is_believed_after_three(bars: list[Any]) -> None:
    bars.append(bar(6, range(1, 7)))
    look = Bars()
    told = []
    for step in range(1, 7):
        bars[0].n = step - 1
        if look.look(step):
            told.append((step, look.total))
    assert told == [(3, 6)]


def test_a_resumed_loop_counts_what_is_left(bars: list[Any]) -> None:
    bars.append(bar(200, range(121, 201)))
    look = Bars()
    for step in range(1, 5):
        bars[0].n = 120 + step - 1
        look.look(step)
    assert look.total == 80


@pytest.mark.parametrize(
    "shown",
    [
        bar(50, [1, 2, 3]),  # a loader: one epoch
        bar(None, range(5)),
        bar(50, None, n=7),  # stands still
    ],
)
def test_other_bars_are_not(bars: list[Any], shown: Any) -> None:
    bars.append(shown)
    look = Bars()
    for step in range(1, 12):
        if shown.iterable is not None:
            shown.n = step - 1
        look.look(step)
    assert look.total is None


def test_a_bar_that_is_gone_is_taken_back(bars: list[Any]) -> None:
    bars.append(bar(4, range(4)))
    look = Bars()
    for step in range(1, 5):
        bars[0].n = step - 1
        look.look(step)
    assert look.total == 4
    bars.clear()
    assert look.look(5)
    assert look.total is None


def test_a_bar_that_writes_down_late_stays_believed(bars: list[Any]) -> None:
    bars.append(bar(1000, range(1000)))
    look = Bars()
    for step in range(1, 40):
        bars[0].n = step - 1 if step < 10 else step - 1 - step % 5
        look.look(step)
    assert look.total == 1000


def test_without_tqdm_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tqdm.std", raising=False)
    look = Bars()
    assert not any(look.look(step) for step in range(1, 10))
