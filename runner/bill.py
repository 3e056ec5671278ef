"""
What it costs in bytes to train parameters: weights, gradients, optimizer state.

Measured where the ledger is, else expected from the optimizer. Beside it LoRA's for the
same model: the percentage of trainable parameters says little about the bill.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.state import Process, Trainable

RANK = 16
LORA_BYTES = 4 + 4 + 8
"""Of one parameter of an adapter: PEFT keeps it in fp32 also beside a bf16 model
(`autocast_adapter_dtype`), so weight, gradient and both moments of AdamW are."""
STATES = {
    "AdamW": 2.0,
    "Adam": 2.0,
    "NAdam": 2.0,
    "RAdam": 2.0,
    "Lion": 1.0,
    "RMSprop": 1.0,
    "Adagrad": 1.0,
}
"""Optimizer state as a multiple of the weights: torch's has their type."""
SMALL_PERCENT = 10.0


@dataclass(frozen=True)
class Bill:
    """Bytes, each None where it is neither measured nor known."""

    weights: int | None = None
    gradients: int | None = None
    optimizer: int | None = None
    measured: bool = False
    """All of it is; else gradients or optimizer state are expected."""

    @property
    def total(self) -> int | None:
        parts = (self.weights, self.gradients, self.optimizer)
        return None if None in parts else sum(part or 0 for part in parts)

    @property
    def missing(self) -> tuple[str, ...]:
        names = ("weights", "gradients", "optimizer")
        return tuple(name for name in names if getattr(self, name) is None)


@dataclass(frozen=True)
class Lora:
    """LoRA of rank RANK on `layers` of the same model, with AdamW. Always expected."""

    parameters: int
    bytes: int
    layers: str
    percent: float | None = None


def bill(process: Process) -> Bill:
    """The bill of what `process` trains."""
    ledger = process.ledger
    state = [ledger.exp_avg, ledger.exp_avg_sq, ledger.optimizer_other]
    known = [part for part in state if part is not None]
    weights = ledger.weights_trainable
    gradients = ledger.gradients
    optimizer = sum(known) if known else None
    measured = None not in (weights, gradients, optimizer)
    if gradients is None:
        gradients = weights
    if optimizer is None and weights is not None:
        optimizer = _expected_state(process, weights)
    return Bill(weights, gradients, optimizer, measured)


def _expected_state(process: Process, weights: int) -> int | None:
    name = process.training.optimizer if process.training else ""
    name = name.removeprefix("Accelerated")
    return round(weights * STATES[name]) if name in STATES else None


def lora(trainable: Trainable) -> Lora | None:
    """LoRA's bill for the same model; None where its layers were not reported."""
    if not trainable.linear_width:
        return None
    parameters = RANK * trainable.linear_width
    names = [name.removesuffix("_proj") for name in trainable.linear_names]
    order = {name: place for place, name in enumerate(("q", "k", "v", "o"))}
    names.sort(key=lambda name: (order.get(name, len(order)), name))
    layers = ", ".join(names) if len(names) <= 4 else f"{len(names)} kinds of layers"
    whole = trainable.total
    return Lora(
        parameters,
        LORA_BYTES * parameters,
        layers,
        100 * parameters / whole if whole else None,
    )


def times(mine: Bill, other: Lora | None) -> float | None:
    """How many times LoRA's bill this one is."""
    if other is None or mine.total is None or not other.bytes:
        return None
    return mine.total / other.bytes


def verdict(trainable: Trainable, mine: Bill, other: Lora | None) -> str:
    """A sentence where few percent are not a small bill; else ""."""
    factor, percent = times(mine, other), trainable.percent
    if factor is None or percent is None or factor < 2:
        return ""
    if percent <= SMALL_PERCENT:
        return f"{percent:.2g} % is not a small bill: {factor:.3g} times LoRA's"
    return f"{factor:.3g} times LoRA's bill"
