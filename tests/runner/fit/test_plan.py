from __future__ import annotations

from typing import Any

import pytest

from trainwatch.runner.errors import UsageError
from trainwatch.runner.fit.plan import Plan, from_json, to_json

CONFIG = {"model_type": "llama", "num_hidden_layers": 2}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"method": "qlora"}, "method 'qlora' is none of lora, partial, full"),
        ({"batch": 0}, "batch is 0: it must be 1 or more"),
        ({"seq": -5}, "seq is -5: it must be 1 or more"),
        ({"rank": -1}, "rank is -1"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"method": "partial", "layers": 0}, "layers is 0"),
        ({"dtype": "int4"}, "dtype 'int4'"),
        ({"optimizer": "adam8bit"}, "optimizer 'adam8bit' is none of adamw, "),
        ({"targets": ()}, "no targets"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Plan(CONFIG, **values)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_head_alone_can_be_trained() -> None:
    assert Plan(CONFIG, method="partial", layers=0, lm_head=True).layers == 0


def test_a_plan_survives_the_way_to_another_process() -> None:
    plan = Plan(CONFIG, method="partial", layers=3, targets=("a", "b"))
    assert from_json(to_json(plan)) == plan


@pytest.mark.parametrize(
    ("asked", "kind", "optimizer"),
    [
        ("adamw", "cuda", "adamw-foreach"),
        ("adamw", "mps", "adamw-for-loop"),
        ("adamw_torch", "cpu", "adamw-for-loop"),
        ("adamw_torch_fused", "cuda", "adamw-fused"),
        ("sgd", "cuda", "sgd"),
    ],
)
def test_a_plain_adamw_is_the_devices_own(
    asked: str, kind: str, optimizer: str
) -> None:
    plan = Plan(CONFIG, optimizer=asked).on(kind, "flash")
    assert (plan.optimizer, plan.attention) == (optimizer, "flash")
