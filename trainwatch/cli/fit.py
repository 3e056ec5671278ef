"""
`fit`: does a training fit, before anything runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from trainwatch.runner.fit.answer import Fit, Place, document
from trainwatch.runner.fit.device import DOES_NOT_FIT, FITS, SWAP, TIGHT
from trainwatch.runner.fit.devices import parse
from trainwatch.runner.fit.model import find_config, own_dtype
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulator import (
    SIMULATION,
    Simulation,
    Simulator,
    find_python,
    packages,
)
from trainwatch.runner.text import plain

DEVICES = "auto,mps:16GB,mps:24GB,mps:36GB,mps:48GB,mps:64GB,cuda:24GB"
"""Asked about when no device is named."""
SAID = {
    FITS: "✔ fits",
    TIGHT: "▲ tight",
    SWAP: "▲ swaps",
    DOES_NOT_FIT: "✖ does not fit",
}
BAR = 24
MENTIONED = 0.001
"""The share of the peak from which on a category is worth a line."""
GIB = 1 << 30


def fit(options: argparse.Namespace) -> int:
    config = find_config(options.model)
    plan = Plan(
        config,
        model=options.model,
        method=options.method,
        rank=options.rank,
        targets=tuple(word for word in options.targets.split(",") if word),
        layers=options.layers,
        lm_head=options.lm_head,
        batch=options.batch,
        seq=options.seq,
        dtype=options.dtype or own_dtype(config) or "bf16",
        optimizer=options.optimizer,
        accumulate=options.accumulate,
        gradient_checkpointing=options.gradient_checkpointing,
        trainer=options.trainer,
    )
    named = ",".join(options.device or [DEVICES]).split(",")
    devices = list(dict.fromkeys(parse(word.strip()) for word in named))
    python = find_python(options.python, packages(plan))
    _say(f"simulating two steps of {plan.model} …")
    with Simulator(python) as simulator:
        asked = Fit(plan, simulator)
        places = [asked.place(device) for device in devices]
        if not options.json:
            print("\n".join(plain(line) for line in answer_lines(plan, places)))
        if not options.no_changes:
            if any(place.verdict.word != FITS for place in places):
                _say("looking for what would make it fit …")
            places = [asked.with_remedies(place) for place in places]
    if options.json:
        print(json.dumps(document(plan, places), indent=1))
    else:
        print("\n".join(plain(line) for line in remedy_lines(places)))
    return 0


def _say(text: str) -> None:
    """
    What is under way, where a person sees it.
    """
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def gib(size: int) -> str:
    """
    Bytes in binary units, as devices are sold: 29_750_000_000 -> "27.7 GiB".
    """
    if abs(size) >= GIB:
        return f"{size / GIB:.1f} GiB"
    mib = size / (1 << 20)
    return f"{mib:.0f} MiB" if abs(mib) >= 10 else f"{mib:.1f} MiB"


def answer_lines(plan: Plan, places: list[Place]) -> Iterator[str]:
    yield from _plan_lines(plan, places[0].simulation)
    for simulation, here in _groups(places):
        yield ""
        yield from _simulation_lines(simulation, here)
    yield ""
    yield from _device_lines(places)


def _groups(places: list[Place]) -> list[tuple[Simulation, list[Place]]]:
    """
    The places by what was simulated for them.
    """
    groups: dict[int, tuple[Simulation, list[Place]]] = {}
    for place in places:
        key = id(place.simulation)
        groups.setdefault(key, (place.simulation, []))[1].append(place)
    return list(groups.values())


def _plan_lines(plan: Plan, simulation: Simulation) -> Iterator[str]:
    how = {
        "lora": f"LoRA r{plan.rank} on {', '.join(simulation.targets)}",
        "partial": " + ".join(
            [f"last {plan.layers} layer{'s'[: plan.layers != 1]}"] * (plan.layers > 0)
            + ["lm_head"] * plan.lm_head
        ),
        "full": "full fine-tuning",
    }[plan.method]
    yield f"{plan.model}: {how}"
    accumulate = f", accumulate {plan.accumulate}" if plan.accumulate > 1 else ""
    checkpointing = "" if plan.gradient_checkpointing else "no "
    trainer = {"hf": "transformers' Trainer", "trl": "TRL's SFTTrainer"}[plan.trainer]
    yield (
        f"{plan.dtype}, batch {plan.batch} x {plan.seq} tokens{accumulate}, "
        f"{checkpointing}gradient checkpointing, {trainer}"
    )
    percent = 100 * simulation.trainable / simulation.parameters
    yield (
        f"{simulation.parameters:,} parameters, {simulation.trainable:,} trained "
        f"({percent:.3g} %)"
    )


def _simulation_lines(simulation: Simulation, places: list[Place]) -> Iterator[str]:
    peak, plan = simulation.peak, simulation.plan
    kinds = ", ".join(dict.fromkeys(place.device.kind for place in places))
    yield (
        f"{kinds} ({plan.attention} attention, {plan.optimizer}): "
        f"peak {gib(peak.bytes)} in {peak.phase} of step {peak.step}"
    )
    if simulation.method == SIMULATION:
        yield f"  two steps simulated in {simulation.seconds:.1f} s"
    else:
        yield "  BY FORMULA, activations as in a Llama: it could not be simulated"
        yield f"  {simulation.reason}"
    for name, size in peak.bill.items():
        if size >= MENTIONED * peak.bytes:
            bar = "█" * max(1, round(BAR * size / peak.bytes))
            yield f"  {name.replace('_', ' '):<22}{gib(size):>11}  {bar}"
    for step in sorted({found.step for found in simulation.peaks}):
        phases = ", ".join(
            f"{found.phase} {gib(found.bytes)}"
            for found in simulation.peaks
            if found.step == step and found.phase not in ("fetch", "clip")
        )
        yield f"  step {step}: {phases}"


def _device_lines(places: list[Place]) -> Iterator[str]:
    yield (
        f"{'device':<10}{'tensors':>10}{'blocks':>11}{'usable':>11}"
        f"{'left/over':>11}  verdict"
    )
    for place in places:
        device, verdict, held = place.device, place.verdict, place.held
        blocks = ""
        if held is not None:
            blocks = "full" if held.full_in else gib(held.reserved_peak)
        yield (
            f"{device.name:<10}{gib(place.simulation.peak.bytes):>10}{blocks:>11}"
            f"{gib(device.usable):>11}{gib(verdict.room):>11}  "
            f"{SAID[verdict.word]}: {verdict.why}"
        )
        if device.problem:
            yield f"{'':<10}{device.problem}"
    method = next((place.held.method for place in places if place.held), None)
    if method:
        yield f"blocks: what the allocator would hold, by {method}"


def remedy_lines(places: list[Place]) -> Iterator[str]:
    for simulation, here in _groups(places):
        short = [place for place in here if place.verdict.word != FITS]
        for place in short:
            if place.hopeless:
                yield ""
                yield f"{place.device.name}: {place.hopeless}"
        rows: dict[tuple[str, ...], tuple[int, list[str]]] = {}
        for place in short:
            for remedy in place.remedies:
                row = rows.setdefault(remedy.change.words, (remedy.peak, []))
                if remedy.verdict.word in (FITS, TIGHT):
                    word = " (tight)" if remedy.verdict.word == TIGHT else ""
                    row[1].append(f"{place.device.name}{word}")
        if not rows:
            continue
        yield ""
        kinds = ", ".join(dict.fromkeys(place.device.kind for place in short))
        yield f"What lowers the peak of {gib(simulation.peak.bytes)} on {kinds}:"
        width = max(len(" + ".join(words)) for words in rows)
        for words, (peak, fitting) in rows.items():
            fits = f"fits {', '.join(fitting)}" if fitting else "still does not fit"
            yield f"  {' + '.join(words):<{width}}{gib(peak):>11}  {fits}"
