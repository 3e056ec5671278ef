"""
A training that is asked about: which model, what of it is trained, and how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trainwatch.runner.errors import UsageError

METHODS = ("lora", "partial", "full")
DTYPES = ("bf16", "fp16", "fp32")
ATTENTIONS = ("math", "flash")
TRAINERS = ("hf", "trl")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = "all-linear"
OPTIMIZERS: Mapping[str, str] = {
    "adamw": "torch.optim.AdamW, as it is by default on the device",
    "adamw-fused": "AdamW(fused=True), the default of transformers",
    "adamw-foreach": "AdamW(foreach=True), torch's own default on CUDA",
    "adamw-for-loop": "AdamW(foreach=False), torch's own default on MPS and CPU",
    "sgd": "torch.optim.SGD",
    "sgd-momentum": "SGD(momentum=0.9)",
    "adafactor": "Adafactor of transformers",
    "adafactor-torch": "torch.optim.Adafactor",
    "rmsprop": "torch.optim.RMSprop",
    "adagrad": "torch.optim.Adagrad",
}
ALIASES: Mapping[str, str] = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw-fused",
    "adamw_hf": "adamw-for-loop",
}
"""Names of `TrainingArguments.optim` that mean one of these."""


@dataclass(frozen=True)
class Plan:
    """
    `config` is the model's `config.json`. `layers` counts from the last one, and
    `lm_head` opens the output embedding too; both belong to `partial`. `rank` and
    `targets` belong to `lora`. `batch` and `seq` are those of one micro-step.

    Raises:
        UsageError: a number or a word that cannot be, in one line.
    """

    config: Mapping[str, Any] = field(repr=False, hash=False)
    model: str = ""
    method: str = "lora"
    rank: int = 16
    targets: tuple[str, ...] = TARGETS
    layers: int = 1
    lm_head: bool = False
    batch: int = 1
    seq: int = 1024
    dtype: str = "bf16"
    optimizer: str = "adamw-fused"
    accumulate: int = 1
    gradient_checkpointing: bool = False
    attention: str = "math"
    trainer: str = "hf"

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(
            self, "optimizer", ALIASES.get(self.optimizer, self.optimizer)
        )
        for name, allowed in (
            ("method", METHODS),
            ("dtype", DTYPES),
            ("optimizer", tuple(OPTIMIZERS)),
            ("attention", ATTENTIONS),
            ("trainer", TRAINERS),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise UsageError(f"{name} {value!r} is none of {', '.join(allowed)}")
        for name in ("rank", "layers", "batch", "seq", "accumulate"):
            value = getattr(self, name)
            least = 0 if name == "layers" and self.lm_head else 1
            if value < least:
                raise UsageError(f"{name} is {value}: it must be {least} or more")
        if not self.targets:
            raise UsageError("no targets: LoRA needs at least one module's name")

    def on(self, kind: str, attention: str) -> Plan:
        """
        The plan on a device of `kind` (cuda, mps or cpu), whose trainings take this
        way of attention: a plain `adamw` becomes the device's own.
        """
        own = "adamw-foreach" if kind == "cuda" else "adamw-for-loop"
        optimizer = own if self.optimizer == "adamw" else self.optimizer
        return replace(self, attention=attention, optimizer=optimizer)


def to_json(plan: Plan) -> dict[str, Any]:
    return asdict(plan)


def from_json(document: Mapping[str, Any]) -> Plan:
    return Plan(**document)
