"""A bounded number of moments says how fast tokens came."""

from __future__ import annotations

import pytest

from trainwatch.probes.pace import MARKS, Pace


def paced(times: list[float]) -> Pace:
    pace = Pace()
    for number, when in enumerate(times, 1):
        pace.mark(number, when)
    return pace


def test_few_tokens_are_exact() -> None:
    assert Pace().summary() == (None, None, None)
    assert paced([5.0]).summary() == (None, None, None)
    assert paced([5.0, 5.5]).summary() == (0.5, None, None)
    times = [0.0, 4.0, 5.0, 6.0, 8.0]
    assert paced(times).summary() == (1.5, 2.5, 1.5)


@pytest.mark.parametrize("count", [MARKS - 1, MARKS, MARKS + 1, 5 * MARKS + 3, 40_000])
def test_many_tokens_take_no_more_room(count: int) -> None:
    pace = paced([0.02 * n for n in range(count)])
    gaps = pace.gaps()
    assert MARKS // 2 - 2 < len(gaps) < MARKS
    assert gaps == pytest.approx([0.02] * len(gaps))


def test_one_long_pause_among_many_does_not_move_the_median() -> None:
    times = [0.02 * n + (60.0 if n > 3_000 else 0.0) for n in range(9_000)]
    assert paced(times).summary() == pytest.approx((0.02, 0.02, 0.02))


def test_halves_tell_of_tokens_that_grow_slower() -> None:
    times = [0.001 * n * n / 2 for n in range(2_000)]
    every, first, second = paced(times).summary()
    assert every == pytest.approx(1.0, rel=0.03)
    assert first == pytest.approx(0.5, rel=0.03)
    assert second == pytest.approx(1.5, rel=0.03)


def test_several_tokens_at_once_share_their_time() -> None:
    pace = Pace()
    for turn in range(1, 400):
        pace.mark(3 * turn, 0.3 * turn)
    assert pace.summary() == pytest.approx((0.1, 0.1, 0.1))
