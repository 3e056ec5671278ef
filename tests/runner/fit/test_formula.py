from __future__ import annotations

from typing import Any

import pytest

from trainwatch.runner.fit.bill import highest
from trainwatch.runner.fit.formula import Shape, peaks
from trainwatch.runner.fit.plan import Plan

GIB = 1 << 30
WEIGHTS = 2 * 8030261248
LAYER, HEAD = 218112000, 128256 * 4096


def llama_3_8b(
    opened: int, largest: int = HEAD, layers: int = 32, per: int = 2
) -> Shape:
    return Shape(
        hidden=4096,
        heads=32,
        vocabulary=128256,
        layers=32,
        layers_with_backward=layers,
        weights=WEIGHTS,
        trainable=per * opened,
        elements=opened,
        largest=2 * largest,
    )


LORA = llama_3_8b(13631488, largest=65536, per=4)


@pytest.mark.parametrize(
    ("values", "shape", "simulated"),
    [
        ({"attention": "math"}, LORA, 27.7),
        ({"attention": "flash"}, LORA, 22.8),
        ({"attention": "math", "seq": 2048}, LORA, 48.2),
        ({"gradient_checkpointing": True}, LORA, 16.8),
        ({"method": "partial"}, llama_3_8b(LAYER, layers=1), 17.6),
        ({"method": "full"}, llama_3_8b(8030261248), 59.8),
        (
            {"method": "full", "optimizer": "adamw-foreach", "attention": "flash"},
            llama_3_8b(8030261248),
            74.8,
        ),
    ],
)
def test_the_formula_is_near_the_simulation_it_was_fitted_to(
    values: dict[str, Any], shape: Shape, simulated: float
) -> None:
    found = highest(peaks(Plan({}, **values), shape))
    assert found.bytes / GIB == pytest.approx(simulated, rel=0.05)
    assert sum(found.bill.values()) == found.bytes


def test_gradients_stay_between_micro_steps() -> None:
    shape = llama_3_8b(8030261248)
    one, two = (
        next(p for p in peaks(Plan({}, method="full", accumulate=n), shape))
        for n in (1, 2)
    )
    assert two.bytes - one.bytes == WEIGHTS
