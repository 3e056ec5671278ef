"""
What is trained: parameters counted as PEFT counts them, and the optimizer.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, List, Optional

from . import accelerator, adaptable
from .events import ModelDescribed, OptimizerDescribed
from .ledger import Storages, tensors_of


def describe(models: List[Any]) -> ModelDescribed:
    """The parameters of `models` together, each parameter once."""
    trainable = total = 0
    linear_width, linear_names = adaptable.widths(models[0]) if models else (None, [])
    dtypes: Dict[str, int] = {}
    devices: Dict[str, int] = {}
    bytes_trainable, bytes_frozen = Storages(), Storages()
    for parameter in _parameters(models):
        count = numel(parameter)
        total += count
        if parameter.requires_grad:
            trainable += count
        dtype = str(parameter.dtype).replace("torch.", "")
        dtypes[dtype] = dtypes.get(dtype, 0) + count
        device = str(parameter.device)
        devices[device] = devices.get(device, 0) + count
        into = bytes_trainable if parameter.requires_grad else bytes_frozen
        for tensor in tensors_of(parameter):
            into.add(tensor)
    return ModelDescribed(
        model=" + ".join(type(unwrapped(model)).__name__ for model in models),
        parameters=total,
        trainable=trainable,
        weights_trainable=bytes_trainable.bytes,
        weights_frozen=bytes_frozen.bytes,
        dtypes=dtypes,
        devices=devices,
        linear_width=linear_width,
        linear_names=linear_names,
        accelerator=accelerator.present(sys.modules.get("torch")),
    )


def numel(parameter: Any) -> int:
    """
    The parameters that `parameter` stands for, as PEFT's
    `get_nb_trainable_parameters` counts: a shard of DeepSpeed ZeRO-3 by its full
    size, a 4-bit weight of bitsandbytes by what is packed into it.
    """
    count = int(parameter.numel())
    if count == 0 and hasattr(parameter, "ds_numel"):
        count = int(parameter.ds_numel)
    if type(parameter).__name__ == "Params4bit":
        if hasattr(parameter, "element_size"):
            size = parameter.element_size()
        elif hasattr(parameter, "quant_storage"):
            size = parameter.quant_storage.itemsize
        else:
            size = 1
        count = count * 2 * int(size)
    return count


def unwrapped(model: Any) -> Any:
    """The user's model inside a wrapper of torch."""
    while type(model).__name__ in (
        "DistributedDataParallel",
        "FullyShardedDataParallel",
        "DataParallel",
        "OptimizedModule",
        "DeepSpeedEngine",
    ):
        inner = getattr(model, "module", None) or getattr(model, "_orig_mod", None)
        if inner is None:
            break
        model = inner
    return model


def describe_optimizer(optimizer: Any) -> OptimizerDescribed:
    """The optimizer as it is set up before its first step."""
    groups = getattr(optimizer, "param_groups", None) or [{}]
    first = groups[0]
    implementation: Optional[str] = None
    if "fused" in first or "foreach" in first:
        implementation = "for-loop"
        if first.get("fused"):
            implementation = "fused"
        elif first.get("foreach") or first.get("foreach") is None:
            implementation = _default_implementation(first)
    rate = first.get("lr")
    return OptimizerDescribed(
        optimizer=type(optimizer).__name__,
        implementation=implementation,
        learning_rate=float(rate) if isinstance(rate, (int, float)) else None,
    )


def _default_implementation(group: Dict[str, Any]) -> str:
    """torch takes `foreach` by default only where all is on an accelerator."""
    if group.get("foreach"):
        return "foreach"
    devices = {p.device.type for p in group.get("params", ())}
    return "foreach" if devices and devices <= {"cuda", "xpu"} else "for-loop"


def _parameters(models: List[Any]) -> Iterator[Any]:
    seen = set()
    for model in models:
        for _, parameter in model.named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter
