"""
Where the bytes are: weights, gradients and optimizer state of live tensors.

Measured once after the first step and again when the optimizer's groups change.
A storage counts once, whoever shares it: tied weights, views, flat buffers.
"""

from __future__ import annotations

import time
from typing import Any, Iterator, List, Optional, Set

from .events import LedgerMeasured

_QUANT_STATE = ("absmax", "code", "offset")
_FIRST, _SECOND = ("exp_avg", "state1"), ("exp_avg_sq", "state2")
"""The moments by name; the second ones are those of bitsandbytes."""


class Storages:
    """Bytes of tensors, each storage once."""

    def __init__(self, seen: Optional[Set[int]] = None) -> None:
        self.bytes = 0
        self._seen: Set[int] = set() if seen is None else seen

    def add(self, tensor: Any) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._seen:
            self._seen.add(key)
            self.bytes += int(storage.nbytes())


def local(tensor: Any) -> Any:
    """The part of a sharded tensor that this process holds."""
    shard = getattr(tensor, "_local_tensor", None)
    return tensor if shard is None else shard


def held_by(tensor: Any) -> Iterator[Any]:
    """The plain tensors that hold the bytes of one, which may wrap several: a shard,
    or the codes and scales of a quantized one."""
    tensor = local(tensor)
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    if flatten is None:
        yield tensor
        return
    for name in flatten(tensor)[0]:
        yield from held_by(getattr(tensor, name))


def tensors_of(parameter: Any) -> Iterator[Any]:
    """A parameter's tensors, and what a 4-bit or 8-bit one is scaled by."""
    yield from held_by(parameter)
    scales = getattr(parameter, "SCB", None)
    if hasattr(scales, "untyped_storage"):
        yield scales
    state = getattr(parameter, "quant_state", None)
    while state is not None:
        for name in _QUANT_STATE:
            tensor = getattr(state, name, None)
            if hasattr(tensor, "untyped_storage"):
                yield tensor
        state = getattr(state, "state2", None)


def _inside(value: Any, depth: int = 0) -> Iterator[Any]:
    """The tensors in a piece of optimizer state."""
    if hasattr(value, "untyped_storage"):
        yield from held_by(value)
    elif isinstance(value, dict) and depth < 4:
        for item in value.values():
            yield from _inside(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 4:
        for item in value:
            yield from _inside(item, depth + 1)


def gradient_bytes(optimizer: Any) -> int:
    """Bytes of the gradients that `optimizer` is about to use."""
    gradients = Storages()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                for tensor in held_by(parameter.grad):
                    gradients.add(tensor)
    return gradients.bytes


def layout(optimizer: Any) -> List[int]:
    """Changes when parameters are added to, taken from or unfrozen in `optimizer`."""
    trained = [
        sum(p.requires_grad for p in group["params"])
        for group in optimizer.param_groups
    ]
    return [id(optimizer), *trained]


def measure(
    step: int, models: List[Any], optimizer: Any, gradients: Optional[int]
) -> LedgerMeasured:
    """
    The ledger after `step`; `gradients` was measured before the step.

    The first of `models` is the one that is trained. In the others (a reference
    model) only what `optimizer` holds is trainable, whatever it requires.
    """
    began = time.perf_counter()
    seen: Set[int] = set()
    trainable, frozen = Storages(seen), Storages(seen)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for model in models:
        for _, parameter in model.named_parameters():
            trained = parameter.requires_grad and (
                model is models[0] or id(parameter) in held
            )
            into = trainable if trained else frozen
            for tensor in tensors_of(parameter):
                into.add(tensor)
        for _, buffer in model.named_buffers():
            for tensor in held_by(buffer):
                frozen.add(tensor)
    if not models:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                for tensor in tensors_of(parameter):
                    trainable.add(tensor)
    first, second, other = Storages(seen), Storages(seen), Storages(seen)
    for state in getattr(optimizer, "state", {}).values():
        if not isinstance(state, dict):
            continue
        for name, value in state.items():
            into = first if name in _FIRST else second if name in _SECOND else other
            for tensor in _inside(value):
                into.add(tensor)
    for group in optimizer.param_groups if models else ():
        for parameter in group["params"]:
            # What only the optimizer holds: copies of the weights in float32.
            for tensor in tensors_of(parameter):
                other.add(tensor)
    return LedgerMeasured(
        step=step,
        weights_trainable=trainable.bytes,
        weights_frozen=frozen.bytes,
        gradients=gradients,
        exp_avg=first.bytes,
        exp_avg_sq=second.bytes,
        optimizer_other=other.bytes,
        seconds=round(time.perf_counter() - began, 6),
    )
