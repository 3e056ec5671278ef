"""
What torch and transformers need to treat fake tensors as they treat real ones.

Needs torch, and changes it: only the simulation's own process imports this.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor


def apply() -> None:
    torch.nn.Module._apply = _apply
    try:
        from transformers import masking_utils
    except ImportError:  # before 4.53
        return
    # Whether rows are packed is read from the positions; fake ones hold nothing.
    if hasattr(masking_utils, "find_packed_sequence_indices"):
        masking_utils.find_packed_sequence_indices = _not_packed


def _not_packed(*args: Any, **kwargs: Any) -> None:
    return None


_real_apply = torch.nn.Module._apply


def _apply(module: Any, function: Any, recurse: bool = True) -> Any:
    """
    `Module._apply` swaps the fake parameters that it changes, and fails where there
    is a weak reference to one. Here a tensor that stays what it is stays the same
    object, and another one takes its place.
    """
    if not any(isinstance(value, FakeTensor) for value in module.parameters()):
        return _real_apply(module, function, recurse)
    # Old tensors are kept until the end: a new one must not get the id of one.
    changed: dict[int, tuple[Any, Any]] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in list(tensors.items()):
                if tensor is None:
                    continue
                if id(tensor) not in changed:
                    with torch.no_grad():
                        new = function(tensor)
                    if new.dtype == tensor.dtype and new.device == tensor.device:
                        new = tensor
                    elif isinstance(tensor, torch.nn.Parameter):
                        new = torch.nn.Parameter(new, tensor.requires_grad)
                    changed[id(tensor)] = (tensor, new)
                tensors[name] = changed[id(tensor)][1]
    return module
