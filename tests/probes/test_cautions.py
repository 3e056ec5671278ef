from __future__ import annotations

from typing import Any

from trainwatch.probes import cautions
from trainwatch.probes.cautions import Fold


def test_the_first_is_told_and_repeats_are_counted_with_the_newest_place() -> None:
    fold = Fold()
    assert fold.add(("a",), {"text": "a", "step": 1}, 10.0)
    assert not fold.add(("a",), {"text": "a", "step": 2}, 10.0)
    assert not fold.add(("a",), {"text": "a", "step": 3}, 10.1)
    assert fold.take() == [{"text": "a", "step": 3, "count": 2}]
    assert fold.take() == []
    assert not fold.add(("a",), {"text": "a", "step": 4}, 20.0)
    assert fold.take() == [{"text": "a", "step": 4, "count": 1}]


def test_a_flood_of_different_texts_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(cautions, "TEXTS", 100)
    fold = Fold()
    told = [fold.add((n,), {}, 10.0) for n in range(1_000)]
    assert sum(told) == cautions.BURST
    assert fold.lost == 1_000 - cautions.BURST
    for second in range(20):
        for n in range(cautions.BURST):
            assert fold.add(("new", second, n), {}, 11.0 + second)
    assert len(fold._repeats) <= 100
