"""The bill of what is trained, and LoRA's beside it."""

from __future__ import annotations

import pytest

from trainwatch.runner.bill import Bill, bill, lora, times, verdict
from trainwatch.runner.document import trainable_document
from trainwatch.runner.state import Ledger, Process, Trainable, Training

LLAMA = Trainable(
    "LlamaForCausalLM",
    218_112_000,
    8_030_261_248,
    linear_width=851_968,
    linear_names=("k_proj", "o_proj", "q_proj", "v_proj"),
)
BYTES = 2 * 218_112_000
"""bf16: the last layer of Llama-3 8B, 2.72 %."""


def process(ledger: Ledger, optimizer: str = "AdamW") -> Process:
    training = Training(optimizer=optimizer)
    return Process(trainable=LLAMA, ledger=ledger, training=training)


def test_before_the_first_step_it_is_expected() -> None:
    told = bill(process(Ledger(weights_trainable=BYTES)))
    assert told == Bill(BYTES, BYTES, 2 * BYTES, measured=False)
    assert told.total == 4 * BYTES


def test_after_it_it_is_measured() -> None:
    ledger = Ledger(BYTES, 0, BYTES + 1, BYTES, BYTES, 512)
    told = bill(process(ledger))
    assert told == Bill(BYTES, BYTES + 1, 2 * BYTES + 512, measured=True)


@pytest.mark.parametrize(
    ("optimizer", "state"), [("Lion", BYTES), ("SomethingOwn", None), ("", None)]
)
def test_other_optimizers(optimizer: str, state: int | None) -> None:
    told = bill(process(Ledger(weights_trainable=BYTES), optimizer))
    assert told.optimizer == state
    assert (told.missing == ()) is (state is not None)


def test_nothing_is_known_yet() -> None:
    told = bill(Process())
    assert told.total is None
    assert told.missing == ("weights", "gradients", "optimizer")


def test_loras_bill_for_the_same_model() -> None:
    other = lora(LLAMA)
    assert other is not None
    assert other.parameters == 13_631_488
    assert other.bytes == 16 * 13_631_488
    assert other.layers == "q, k, v, o"
    assert other.percent == pytest.approx(0.17, abs=0.005)
    assert lora(Trainable("Net", 10, 10)) is None
    many = Trainable(linear_width=1, linear_names=("a", "b", "c", "d", "e"))
    assert (told := lora(many)) is not None
    assert told.layers == "5 kinds of layers"


def test_a_few_percent_are_not_a_small_bill() -> None:
    mine = bill(process(Ledger(weights_trainable=BYTES)))
    other = lora(LLAMA)
    assert times(mine, other) == pytest.approx(8.0, abs=0.01)
    assert verdict(LLAMA, mine, other) == "2.7 % is not a small bill: 8 times LoRA's"
    assert verdict(LLAMA, Bill(), other) == ""
    small = Bill(BYTES // 40, 0, 0)
    assert verdict(LLAMA, small, other) == ""


def test_the_document_has_both() -> None:
    told = trainable_document(process(Ledger(weights_trainable=BYTES)))
    assert told is not None
    assert told["bill"] == {
        "weights": BYTES,
        "gradients": BYTES,
        "optimizer": 2 * BYTES,
        "total": 4 * BYTES,
        "measured": False,
    }
    assert told["lora"]["rank"] == 16
    assert told["lora"]["total"] == 218_103_808
    assert trainable_document(Process()) is None
