"""Where the bytes are, from tensors that are made up: each storage once."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from trainwatch.probes import ledger

COUNT = itertools.count(1)


class Storage:
    def __init__(self, size: int) -> None:
        self._cdata = next(COUNT)
        self._size = size

    def nbytes(self) -> int:
        return self._size


class Tensor:
    """A tensor of `size` bytes, or one that shares the storage of another."""

    requires_grad = True
    grad: Any = None

    def __init__(self, size: int = 0, storage: Storage | None = None) -> None:
        self._storage = storage or Storage(size)

    def untyped_storage(self) -> Storage:
        return self._storage

    def view(self) -> Tensor:
        return Tensor(storage=self._storage)


class Quantized(Tensor):
    """A wrapper that holds its bytes in other tensors, as torchao's do."""

    def __init__(self, codes: int, scale: int) -> None:
        super().__init__(10_000_000)
        self.codes, self.scale = Tensor(codes), Tensor(scale)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scale"], None


def model(*parameters: Tensor, buffers: tuple[Tensor, ...] = ()) -> Any:
    return SimpleNamespace(
        named_parameters=lambda: [(str(i), p) for i, p in enumerate(parameters)],
        named_buffers=lambda: [(str(i), b) for i, b in enumerate(buffers)],
    )


def optimizer(*parameters: Tensor, state: dict[Any, Any] | None = None) -> Any:
    return SimpleNamespace(param_groups=[{"params": parameters}], state=state or {})


def test_tied_weights_and_views_count_once() -> None:
    head = Tensor(1000)
    frozen = Tensor(500)
    frozen.requires_grad = False
    found = ledger.measure(
        1, [model(head, head.view(), frozen, buffers=(Tensor(8),))], optimizer(head), 7
    )
    assert (found.weights_trainable, found.weights_frozen) == (1000, 508)
    assert (found.gradients, found.optimizer_other) == (7, 0)


def test_a_4_bit_weight_has_its_scales() -> None:
    packed = Tensor(100)
    packed.requires_grad = False
    inner = SimpleNamespace(absmax=Tensor(4), code=Tensor(5), offset=Tensor(1))
    packed.quant_state = SimpleNamespace(  # type: ignore[attr-defined]
        absmax=Tensor(10), code=Tensor(20), offset=None, state2=inner
    )
    found = ledger.measure(1, [model(packed)], optimizer(), 0)
    assert found.weights_frozen == 100 + 10 + 20 + 4 + 5 + 1


def test_an_8_bit_weight_has_its_scales() -> None:
    packed = Tensor(100)
    packed.requires_grad = False
    packed.SCB = Tensor(12)  # type: ignore[attr-defined]
    assert ledger.measure(1, [model(packed)], optimizer(), 0).weights_frozen == 112


def test_a_wrapper_counts_by_what_it_wraps() -> None:
    weight, moment = Quantized(50, 3), Quantized(25, 2)
    found = ledger.measure(
        1, [model(weight)], optimizer(weight, state={weight: {"exp_avg": moment}}), 0
    )
    assert (found.weights_trainable, found.exp_avg) == (53, 27)


def test_8_bit_optimizer_state_by_its_moments_and_shared_code_books() -> None:
    a, b = Tensor(4000), Tensor(4000)
    book = Tensor(1024)
    state = {
        p: {
            "step": 1,
            "state1": Tensor(1000),
            "state2": Tensor(1000),
            "qmap1": book,
            "absmax1": Tensor(16),
        }
        for p in (a, b)
    }
    found = ledger.measure(1, [model(a, b)], optimizer(a, b, state=state), 0)
    assert (found.exp_avg, found.exp_avg_sq) == (2000, 2000)
    assert found.optimizer_other == 1024 + 2 * 16


def test_masters_in_float32_are_the_optimizers() -> None:
    half = Tensor(2000)
    master = Tensor(4000)
    held = optimizer(master, state={master: {"exp_avg": Tensor(4000)}})
    found = ledger.measure(1, [model(half)], held, 0)
    assert found.weights_trainable == 2000
    assert (found.exp_avg, found.optimizer_other) == (4000, 4000)


def test_without_a_model_the_optimizers_parameters_are_the_weights() -> None:
    weight = Tensor(4000)
    found = ledger.measure(1, [], optimizer(weight), 0)
    assert (found.weights_trainable, found.optimizer_other) == (4000, 0)


@pytest.mark.parametrize("more", [0, 1])
def test_the_layout_changes_with_the_groups_only(more: int) -> None:
    weight = Tensor(4)
    held = optimizer(weight)
    before = ledger.layout(held)
    if more:
        held.param_groups.append({"params": [Tensor(4)]})
    assert (ledger.layout(held) != before) == bool(more)
