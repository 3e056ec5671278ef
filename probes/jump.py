"""
What the first `step` of an optimizer will add to the memory, in closed form.

Read from its groups before the step runs: the state that it will make and keep,
and the most that is alive inside the call on top of it. The rules follow the code
of torch 2.13, transformers 5 and bitsandbytes, and count the bytes of tensors; what
an allocator rounds up, or its kernels take, is not in them. For another optimizer
nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from .ledger import local

FOR_LOOP, FOREACH, FUSED = "for-loop", "foreach", "fused"
FOREACH_DEVICES = ("cuda", "xpu", "mtia")
FUSED_DEVICES = ("mps", "cuda", "xpu", "hpu", "cpu", "mtia")
STEP = 4
"""Bytes of the step count that torch keeps for each parameter."""
FULL = 4
"""Bytes of a number in float32."""
SMALLEST_8BIT = 4096
"""bitsandbytes keeps the state of smaller tensors in 32 bits."""
BLOCK_8BIT = 256
MAPS_8BIT = 2 * 256 * FULL
"""The two code books of an optimizer."""
HALVES = (2,)


@dataclass(frozen=True)
class Piece:
    """One parameter that a step will update."""

    numel: int
    bytes: int
    shape: Tuple[int, ...]
    fresh: bool
    """It has no state yet."""
    kind: Tuple[str, str]
    """Device and dtype."""

    @property
    def width(self) -> int:
        return self.bytes // self.numel if self.numel else 0


@dataclass(frozen=True)
class Jump:
    """Bytes that a step adds. `needs` is the most at once, so state and more."""

    state: int
    needs: int
    implementation: str
    method: str
    bound: bool = False
    """It needs no more, and maybe less."""

    @property
    def temporary(self) -> int:
        return self.needs - self.state


Group = Dict[str, Any]
Rule = Callable[[Group, List[Piece], str], Tuple[int, int]]
"""State that one group will keep, and the most that it holds at once."""


def unwrapped(optimizer: Any) -> Any:
    """The optimizer inside accelerate's wrapper."""
    while type(optimizer).__name__ == "AcceleratedOptimizer":
        optimizer = optimizer.optimizer
    return optimizer


def pieces(optimizer: Any, group: Group, all_train: bool) -> List[Piece]:
    """
    The parameters of `group` that a step will update: those with a gradient, or
    all that require one where no backward has run (`all_train`).
    """
    found = []
    for parameter in group["params"]:
        if parameter.grad is None and not (all_train and parameter.requires_grad):
            continue
        held = local(parameter)
        numel = int(held.numel())
        found.append(
            Piece(
                numel=numel,
                bytes=numel * int(held.element_size()),
                shape=tuple(int(n) for n in held.shape),
                fresh=not optimizer.state.get(parameter),
                kind=(held.device.type, str(held.dtype)),
            )
        )
    return found


def gradients_to_come(optimizer: Any) -> int:
    """Bytes of gradients that a first backward will make for `optimizer`."""
    return sum(
        int(local(p).numel()) * int(local(p).element_size())
        for group in optimizer.param_groups
        for p in group["params"]
        if p.requires_grad and p.grad is None
    )


def jump(
    optimizer: Any, all_train: bool = False, implementation: Optional[str] = None
) -> Optional[Jump]:
    """
    What the next step of `optimizer` adds; None where its class is not known.

    Args:
        all_train: count what has no gradient yet.
        implementation: ask for another one than it has.
    """
    rule = rule_of(optimizer)
    if rule is None:
        return None
    state = needs = 0
    names: List[str] = []
    mixed = False
    for group in optimizer.param_groups:
        parts = pieces(optimizer, group, all_train)
        how = implementation or implementation_of(group, parts)
        if parts and how not in names:
            names.append(how)
        kept, most = rule(group, parts, how)
        # A group begins when the one before it has let go of its temporaries.
        needs = max(needs, state + most)
        state += kept
        mixed |= how == FOREACH and len({part.kind for part in parts}) > 1
    method = "closed form of %s" % type(optimizer).__name__
    if mixed:
        method += ", for any order of the dtypes"
    return Jump(state, max(needs, state), " and ".join(names), method, mixed)


def in_place_of(optimizer: Any, name: str, all_train: bool) -> Jump:
    """What the step of another optimizer would add for the same parameters."""
    rule, group = OTHERS[name]
    parts = [
        part for g in optimizer.param_groups for part in pieces(optimizer, g, all_train)
    ]
    state, needs = rule({**group, "params": []}, parts, FOR_LOOP)
    return Jump(state, needs, FOR_LOOP, "closed form of %s" % name)


def rule_of(optimizer: Any) -> Optional[Rule]:
    """The rule of exactly this class: one that inherits may step differently."""
    cls = type(optimizer)
    package = cls.__module__.partition(".")[0]
    rule = RULES.get((package, cls.__name__))
    if rule is None and package == "bitsandbytes":
        args = getattr(optimizer, "args", None)
        bits = getattr(args, "optim_bits", None)
        if cls.__name__.startswith("Paged") or bits not in (8, 32):
            return None
        if cls.__name__.startswith("Adam"):
            return adam_8bit if bits == 8 else adam_32bit
    return rule


def implementation_of(group: Group, parts: Sequence[Piece]) -> str:
    """As torch chooses it where the user did not."""
    if group.get("fused"):
        return FUSED
    if group.get("foreach"):
        return FOREACH
    if "foreach" not in group or group["foreach"] is not None:
        return FOR_LOOP
    if group.get("fused") is not None or group.get("differentiable"):
        return FOR_LOOP
    where = {part.kind[0] for part in parts}
    return FOREACH if where and where <= set(FOREACH_DEVICES) else FOR_LOOP


def may_fuse(optimizer: Any) -> bool:
    """Every parameter lies where torch has fused kernels, and is floating point."""
    return type(optimizer).__module__.startswith("torch.optim") and all(
        "fused" in group
        and all(
            p.device.type in FUSED_DEVICES and p.is_floating_point()
            for p in group["params"]
        )
        for group in optimizer.param_groups
    )


def by_kind(parts: Sequence[Piece]) -> Iterator[Tuple[int, int]]:
    """
    Bytes of the parameters of one device and dtype, as foreach takes them together;
    with those of the kind before, whose last result is still alive.
    """
    sums: Dict[Tuple[str, str], int] = {}
    for part in parts:
        sums[part.kind] = sums.get(part.kind, 0) + part.bytes
    before = 0
    for total in sums.values():
        yield before, total
        before = total


def adam(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """All state is made before the first update."""
    copies = 3 if group.get("amsgrad") else 2
    state = sum(copies * p.bytes + STEP for p in parts if p.fresh)
    if how == FUSED:
        return state, state
    if how == FOREACH:
        most = max((a + b for a, b in by_kind(parts)), default=0)
        return state, state + most
    coupled = group.get("weight_decay") and not group.get("decoupled_weight_decay")
    copied = bool(coupled) + bool(group.get("maximize"))
    most = before = 0
    for part in parts:
        # `(exp_avg_sq.sqrt() / b).add_(eps)` while the last `denom` is alive.
        most = max(most, before + (2 + copied) * part.bytes)
        before = part.bytes
    return state, state + most


def sgd(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """A momentum buffer is made when its parameter's turn comes."""
    momentum = bool(group.get("momentum"))
    copied = bool(group.get("weight_decay")) + bool(group.get("maximize"))
    state = sum(p.bytes for p in parts if p.fresh) if momentum else 0
    if how == FUSED:
        return state, state
    if how == FOREACH:
        most = max((total for _, total in by_kind(parts)), default=0)
        return state, state + (most if copied else 0)
    made = most = 0
    for part in parts:
        made += part.bytes if momentum and part.fresh else 0
        alive = copied + bool(momentum and group.get("nesterov"))
        most = max(most, made + alive * part.bytes)
    return state, most


def rmsprop(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    copies = 1 + bool(group.get("centered")) + bool(group.get("momentum"))
    state = sum(copies * p.bytes + STEP for p in parts if p.fresh)
    return state, state + _root(group, parts, how)


def adagrad(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """Its state was made with it."""
    if how == FUSED:
        return 0, 0
    if how == FOREACH:
        # The scaled gradients stand beside the root.
        return 0, max((a + 2 * b for a, b in by_kind(parts)), default=0)
    return 0, _root(group, parts, how)


def _root(group: Group, parts: List[Piece], how: str) -> int:
    """A square root of the state beside the last one, and a changed gradient."""
    copied = bool(group.get("weight_decay")) + bool(group.get("maximize"))
    most = before = 0
    if how == FOREACH:
        for before, total in by_kind(parts):
            most = max(most, before + (1 + bool(copied)) * total)
        return most
    for part in parts:
        most = max(most, before + (1 + copied) * part.bytes)
        before = part.bytes
    return most


def rows_and_columns(part: Piece) -> int:
    """Numbers in the two factors of a matrix; a vector's is as long as itself."""
    if len(part.shape) < 2:
        return part.numel
    row, column = part.shape[-2:]
    rest = part.numel // max(1, row * column)
    return rest * (row + column)


def adafactor(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """Of torch: the factors have the parameter's dtype."""
    state = sum(rows_and_columns(p) * p.width + STEP for p in parts if p.fresh)
    if how == FOREACH:
        return state, state + max((a + b for a, b in by_kind(parts)), default=0)
    most = before = squared = 0
    for part in parts:
        if len(part.shape) < 2:
            most = max(most, before + squared + part.bytes, before + 2 * part.bytes)
            squared = part.bytes
        most = max(most, before + squared + part.bytes)
        before = part.bytes
    return state, state + most


def hf_adafactor(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """Of transformers: everything in float32, state when its turn comes."""
    state = most = update = gradient = copy = 0
    first = group.get("beta1") is not None
    for part in parts:
        full = FULL * part.numel
        half = part.width in HALVES
        if half:
            most = max(most, state + gradient + full + update + copy)
        gradient = full if half else 0
        if part.fresh:
            state += FULL * rows_and_columns(part) + (full if first else 0)
        if half:
            most = max(most, state + gradient + copy + full + update)
        copy = full if half else 0
        # `grad**2 + eps` while the last update is alive.
        most = max(most, state + gradient + copy + update + 2 * full)
        # With a first moment the update is the state itself.
        update = 0 if first else full
    return state, most


def adam_8bit(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    """Of bitsandbytes on CUDA, where the kernels need no temporaries."""
    state = 0
    for part in parts:
        if not part.fresh:
            continue
        if part.numel < SMALLEST_8BIT:
            state += 2 * FULL * part.numel
        else:
            state += 2 * (part.numel + FULL * -(-part.numel // BLOCK_8BIT))
    state += MAPS_8BIT if state else 0
    return state, state


def adam_32bit(group: Group, parts: List[Piece], how: str) -> Tuple[int, int]:
    state = sum(2 * FULL * p.numel for p in parts if p.fresh)
    return state, state


RULES: Dict[Tuple[str, str], Rule] = {
    ("torch", "Adam"): adam,
    ("torch", "AdamW"): adam,
    ("torch", "SGD"): sgd,
    ("torch", "RMSprop"): rmsprop,
    ("torch", "Adagrad"): adagrad,
    ("torch", "Adafactor"): adafactor,
    ("transformers", "Adafactor"): hf_adafactor,
}
OTHERS: Dict[str, Tuple[Rule, Group]] = {
    "AdamW8bit": (adam_8bit, {}),
    "Adafactor": (adafactor, {"weight_decay": 0.0}),
}
"""What may stand in for an optimizer whose state is too large."""
