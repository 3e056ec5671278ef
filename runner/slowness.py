"""
What makes a run slow that could be faster, as findings of their own. Pure.

Facts, never a verdict: a run may be meant so. Each is told only where it carries
something, says how sure it is, and ends when it is gone; none is asked once the
training has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from trainwatch.probes import events as ev
from trainwatch.runner.generation import SLOWING_TOKENS, gap_s, slowing
from trainwatch.runner.phases import PARTS
from trainwatch.runner.shares import shares
from trainwatch.runner.state import Generation, PhaseStat, Process, RunState
from trainwatch.runner.text import duration

ENOUGH_STEPS = 10
ENOUGH_S = 10.0
"""Seconds of steps, and of what is called slow, below which nothing is told."""
INPUT_SHARE = 0.3
BETWEEN_SHARE = 0.3
COMPUTE_SHARE = 0.5
STAYS = 0.8
"""A fact that was told stands down to so much of its share."""
SAMPLED = 5
"""Steps timed by the device after which its clock is asked and not the host's."""
MOSTLY = 0.5
"""Of the parameters in float32, for them to be what computes."""
CACHELESS = 0.5
"""A token that takes so much of the first one's time was made without a cache."""
FEW_TOKENS = 8
FALLBACK = "incompatibility.fallback-mps"
_OPERATOR = re.compile(r"operator '([\w:.]{1,80})'")


@dataclass(frozen=True)
class Fact:
    rule: str
    summary: str
    status: str
    """`likely` or `possible`."""
    evidence: tuple[str, ...]
    do: str


Look = Callable[[RunState, Process, float], "Fact | None"]
"""(state, the leading process, factor on shares) -> what is met."""


def facts(state: RunState) -> dict[str, Fact]:
    """Rule -> what makes this run slow."""
    lead = state.lead
    if lead is None:
        return {}
    found = {}
    for rule, look in LOOKS.items():
        known = state.findings.get(rule)
        stands = known is not None and known.cleared is None
        fact = look(state, lead, STAYS if stands else 1.0)
        if fact is not None:
            found[rule] = fact
    return found


def changes(state: RunState) -> Iterator[ev.FindingRaised | ev.FindingCleared]:
    """What is met now and was not told, and what was told and is gone."""
    lead = state.lead
    training = lead.training if lead is not None else None
    if state.over or (training is not None and training.ended):
        return
    met = facts(state)
    for rule in LOOKS:
        known = state.findings.get(rule)
        stands = known is not None and known.cleared is None
        fact = met.get(rule)
        if fact is not None and not stands:
            yield ev.FindingRaised(
                rule=rule,
                severity="attention",
                kind="slow",
                summary=fact.summary,
                evidence=[fact.status, *fact.evidence],
                do=fact.do,
            )
        elif fact is None and stands:
            yield ev.FindingCleared(rule, "no longer so")


def input_waits(state: RunState, lead: Process, factor: float) -> Fact | None:
    """The step waits for its rows."""
    part = _part(lead, "fetch")
    if part is None or part[0] < INPUT_SHARE * factor:
        return None
    share, each, clock = part
    workers = lead.training.workers if lead.training else None
    if workers == 0:
        do = "num_workers is 0: 2 or more make rows while the device computes"
    elif workers:
        do = (
            f"num_workers is {workers}: more of them, or rows made ready once "
            "before the training"
        )
    else:
        do = "num_workers of the DataLoader, or rows made ready once before"
    return Fact(
        "slow.input",
        f"fetch takes {_percent(share)} of a step: {duration(each)} waiting for rows",
        "likely",
        (f"by the {clock} clock",),
        do,
    )


def evaluates_much(state: RunState, lead: Process, factor: float) -> Fact | None:
    return _between(
        lead, "evaluate", factor, "evaluation", "larger eval_steps, or fewer rows"
    )


def saves_much(state: RunState, lead: Process, factor: float) -> Fact | None:
    return _between(
        lead, "save", factor, "saving", "larger save_steps, or a faster disk"
    )


def on_cpu(state: RunState, lead: Process, factor: float) -> Fact | None:
    """The weights are in RAM, and an accelerator seems to be there."""
    model = lead.trainable
    if model is None or not model.accelerator or not _stepped(lead):
        return None
    signals = state.signals.get(lead.pid)
    elsewhere = lead.memory.device != "cpu" or bool(signals and signals.device)
    if set(_kinds(model.devices)) != {"cpu"} or elsewhere:
        return None
    seems = {"cuda": "a CUDA card", "mps": "an Apple GPU"}[model.accelerator]
    return Fact(
        "slow.on-cpu",
        f"the model is on the CPU, and {seems} seems to be there",
        "possible",
        (f"all {model.total:,} parameters are in RAM; the driver was not asked",),
        f'model.to("{model.accelerator}"), or remove what keeps the trainer on the CPU',
    )


def full_precision(state: RunState, lead: Process, factor: float) -> Fact | None:
    """It computes in float32 on an accelerator."""
    model, training = lead.trainable, lead.training
    if model is None or training is None or training.precision != "fp32":
        return None
    kinds = _kinds(model.devices)
    kind = next((name for name in ("cuda", "mps", "xpu") if kinds.get(name)), None)
    full = model.dtypes.get("float32", 0)
    if kind is None or not model.total or full < MOSTLY * model.total:
        return None
    parts = [_part(lead, name) for name in ("forward", "backward")]
    share = sum(part[0] for part in parts if part is not None)
    if not _stepped(lead) or share < COMPUTE_SHARE * factor:
        return None
    return Fact(
        "slow.float32",
        f"it computes in float32 on {kind}: half precision takes half the memory and "
        "is mostly faster",
        "possible",
        (
            f"{_percent(full / model.total)} of the parameters, without autocast",
            f"forward and backward take {_percent(share)} of a step",
        ),
        "bf16=True where the device has it, else fp16=True"
        if kind != "mps"
        else "dtype=torch.bfloat16 (macOS 14) or bf16=True",
    )


def generates_slowly(state: RunState, lead: Process, factor: float) -> Fact | None:
    """Each token of a long generation takes longer than the one before."""
    last = next((g for g in reversed(lead.generations) if g.tokens > 1), None)
    if last is None or lead.generated.seconds + _lasts(last) < ENOUGH_S:
        return None
    without, slow, gap = last.use_cache is False, slowing(last), gap_s(last)
    if slow:
        shown = (
            f"{duration(slow[0])} a token in the first half of {last.tokens:,}, "
            f"{duration(slow[1])} in the second"
        )
    elif without and gap and last.ttft_s and last.tokens >= FEW_TOKENS:
        if gap < CACHELESS * last.ttft_s:
            return None
        shown = f"a token takes {duration(gap)}, all of the prompt took " + duration(
            last.ttft_s
        )
    else:
        return None
    if without:
        return Fact(
            "slow.generation",
            "generate runs without a cache: every token reads all before it again",
            "likely",
            (shown,),
            "use_cache=True; gradient checkpointing in training mode switches it off: "
            "model.eval() before",
        )
    return Fact(
        "slow.generation",
        "generate slows down with every token",
        "possible",
        (shown, f"over {SLOWING_TOKENS} tokens"),
        "see whether the cache is used; shorter prompts, or a smaller max_new_tokens",
    )


def falls_back(state: RunState, lead: Process, factor: float) -> Fact | None:
    """Operators that MPS lacks run on the CPU."""
    warning = state.warnings.get(FALLBACK)
    model = lead.trainable
    if warning is None or warning.severity != "attention" or not _stepped(lead):
        return None
    if model is None or not _kinds(model.devices).get("mps"):
        return None
    named = _OPERATOR.search(warning.text)
    operator = named[1] if named else "an operator"
    more = f" and {warning.count - 1} more" if warning.count > 1 else ""
    return Fact(
        "slow.mps-fallback",
        f"{operator}{more} runs on the CPU and not on MPS",
        "possible",
        (warning.evidence or "torch says it once for each operator",),
        warning.do,
    )


LOOKS: Mapping[str, Look] = {
    "slow.on-cpu": on_cpu,
    "slow.float32": full_precision,
    "slow.input": input_waits,
    "slow.generation": generates_slowly,
    "slow.mps-fallback": falls_back,
    "slow.evaluate": evaluates_much,
    "slow.save": saves_much,
}


def _part(lead: Process, name: str) -> tuple[float, float, str] | None:
    """(share of the steps, seconds a step, clock) of a part; the first step left
    out by the host's clock."""
    if not _stepped(lead):
        return None
    device = lead.device
    if device is not None and device.sampled >= SAMPLED:
        phases: Mapping[str, PhaseStat] = device.phases
        parts = {part: stat.total_s for part, stat in phases.items() if part != "step"}
        steps, clock = device.sampled, device.kind or "device"
    else:
        parts = {
            part: _without_first(stat)
            for part, stat in lead.phases.items()
            if part in PARTS or part in lead.steps.last_phases
        }
        steps, clock = lead.steps.count - 1, "host"
    total = sum(parts.values())
    if total <= 0 or name not in parts:
        return None
    return parts[name] / total, parts[name] / max(1, steps), clock


def _without_first(stat: PhaseStat) -> float:
    return max(0.0, stat.total_s - (stat.first or 0.0))


def _stepped(lead: Process) -> bool:
    return lead.steps.count >= ENOUGH_STEPS and lead.steps.seconds >= ENOUGH_S


def _between(
    lead: Process, name: str, factor: float, what: str, do: str
) -> Fact | None:
    stat = lead.phases.get(name)
    share = shares(lead).get(name, 0.0)
    if stat is None or not _stepped(lead) or stat.total_s < ENOUGH_S:
        return None
    if share < BETWEEN_SHARE * factor:
        return None
    return Fact(
        f"slow.{name}",
        f"{what} takes {_percent(share)} of the training's time",
        "likely",
        (f"{stat.count} times, {duration(stat.total_s / stat.count)} each",),
        do,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _kinds(devices: Mapping[str, int]) -> dict[str, int]:
    """Kind of device -> parameters that lie there."""
    found: dict[str, int] = {}
    for name, count in devices.items():
        kind = name.partition(":")[0]
        found[kind] = found.get(kind, 0) + count
    return found


def _lasts(generation: Generation) -> float:
    """Seconds of a generation that is under way."""
    if generation.done or generation.seen is None:
        return 0.0
    return max(0.0, generation.seen - generation.began)
