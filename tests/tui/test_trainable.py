"""The bill of what is trained, in words that fit the panel."""

from __future__ import annotations

import pytest

from support import scenes
from trainwatch.runner.bill import Bill, Lora
from trainwatch.tui.panels.trainable import (
    TrainablePanel,
    bill_line,
    lora_line,
    number_of,
)

MB = 10**6


def panel(height: int, width: int = 56) -> list[str]:
    view = scenes.partial()
    return [line.plain for line in TrainablePanel().lines(view, width, height)]


def test_three_lines_say_count_bill_and_loras() -> None:
    count, mine, other = panel(3)
    assert count.endswith("2.72 %")
    assert mine == "weights 0.44 + gradients 0.44 + optimizer 0.87 = 1.74 GB"
    assert other.startswith("LoRA r16 on q, k, v, o: 8 times less")
    assert other.endswith("218 MB expected")


def test_with_room_it_says_what_a_percent_hides() -> None:
    assert "2.7 % is not a small bill: 8 times LoRA's" in panel(12)
    assert any("bfloat16" in line for line in panel(12))
    assert len(panel(5)) == 5


@pytest.mark.parametrize("width", [38, 56, 100])
def test_what_is_expected_says_so(width: int) -> None:
    line = bill_line(Bill(436 * MB, 436 * MB, 872 * MB), width)
    assert line.plain.endswith("1.74 GB expected")
    assert line.cell_length == width


def test_what_is_not_known_is_not_added_up() -> None:
    line = bill_line(Bill(436 * MB, 436 * MB, None), 56)
    assert line.plain == "bill not complete: optimizer not measured"
    assert "not reported" in lora_line(Bill(), None, 56).plain


def test_a_bill_like_loras_is_not_compared() -> None:
    other = Lora(13_631_488, 218 * MB, "q, v")
    mine = Bill(55 * MB, 55 * MB, 108 * MB)
    assert lora_line(mine, other, 56).plain.startswith("LoRA r16 on q, v: 13.6 M ")


def test_counts_in_few_characters() -> None:
    assert [number_of(n) for n in (999, 13_631_488, 1_500, 2_000_000_000)] == [
        "999",
        "13.6 M",
        "1.5 k",
        "2 G",
    ]
