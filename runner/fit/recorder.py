"""
Every storage of tensors that a piece of code allocates and frees, in order.

Needs torch, and is imported only in the simulation.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainwatch.runner.fit.trace import Trace

_DEVICE = torch.ops.prim.device.default
"""Fake tensors ask for their device by an operator; no code of a model's does."""

_ITEM = torch.ops.aten._local_scalar_dense.default


class Recorder(TorchDispatchMode):  # type: ignore[misc]
    """
    A dispatch mode that keeps the trace. Bytes are those of the storages, each
    once, unrounded; what an operator allocates and frees inside of itself is not
    seen. `operator` is the last one that was called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trace = Trace()
        self.labels: dict[int, str] = {}
        self.operator = ""
        self.number_read: float | None = None
        """What `item()` gives, where code may read numbers that do not exist."""
        self._numbers: dict[int, list[Any]] = {}
        """Of a living storage: its number, its bytes, a reference that tells of
        its death."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is not _DEVICE:
            self.operator = str(func)
        if func is _ITEM and self.number_read is not None:
            return self.number_read
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self.number(value)
        return result

    def number(self, tensor: Any) -> int:
        """
        The number of the tensor's storage, which is recorded if it is new.
        """
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._numbers.get(key)
        size = storage.nbytes()
        if known is None:
            known = [self.trace.allocate(size), size, None]
            known[2] = weakref.ref(storage, lambda _: self._died(key))
            self._numbers[key] = known
        elif known[1] != size:
            self.trace.free(known[0])
            label = self.labels.get(known[0])
            known[:2] = [self.trace.allocate(size), size]
            if label:
                self.labels[known[0]] = label
        return int(known[0])

    def label(self, tensors: Iterable[Any], category: str) -> None:
        """
        Says what these tensors are. A storage keeps its first label.
        """
        for tensor in tensors:
            self.labels.setdefault(self.number(tensor), category)

    def _died(self, key: int) -> None:
        self.trace.free(self._numbers.pop(key)[0])
