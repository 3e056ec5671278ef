"""
What a phase needed of memory, what limit it met, and what would help: in words.

Pure. The forecast for that phase of that step says it best, where one was made and it
says that it will not fit; else what a refused allocation adds up to, which is the least
that was needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainwatch.runner.forecast import advice, sentence
from trainwatch.runner.phases import in_step
from trainwatch.runner.refusal import Refusal
from trainwatch.runner.state import Forecast, Process
from trainwatch.runner.text import size

ADDRESSES = "RLIMIT_AS"
"""What a CPU's allocation meets first where it is set; by that name in `lines`."""

DO_BY_PHASE = {
    "optimizer": "Fewer open layers, an 8-bit optimizer, or LoRA.",
    "load": "Load in the type that is trained in, or a smaller or quantized model.",
    "evaluate": "A smaller evaluation batch, and no logits kept: "
    "preprocess_logits_for_metrics, eval_accumulation_steps.",
    "generate": "Fewer new tokens or rows at once.",
    "save": "Less to gather at once: sharded saves, or more RAM.",
    "data": "Fewer workers (num_proc), smaller batches of the map, or streaming.",
}
COPYING = ("foreach", "for-loop")
FUSED = "A fused optimizer needs no temporary copies. Then:"
DO = (
    "A smaller batch with more accumulation, shorter sequences, or gradient "
    "checkpointing."
)


@dataclass(frozen=True)
class Need:
    """What was needed of what there was, in bytes; `at_least`: more would follow."""

    needed: int | None = None
    limit: int | None = None
    limit_by: str = ""
    at_least: bool = False
    by: str = ""
    """The forecast, in a sentence."""


def need_of(found: Refusal | None, process: Process | None, phase: str) -> Need:
    """
    What was needed: as it had been forecast for this phase of this step, else at least
    what the message adds up to.
    """
    said = Need()
    if found is not None:
        said = Need(found.needed, found.ceiling, at_least=True)
        addresses = process.memory.lines.get(ADDRESSES) if process else None
        if found.backend == "CPU" and addresses is not None:
            said = replace(said, limit=addresses, limit_by=ADDRESSES)
    forecast = forecast_of(process, phase)
    if forecast is None or forecast.needs is None or forecast.held is None:
        return said
    needed, by = forecast.held + forecast.needs, f"forecast: {sentence(forecast)}"
    if forecast.fits is not False or (said.needed or 0) > needed:
        return replace(said, by=by)  # It explains nothing, but it was said.
    return Need(needed, forecast.limit, forecast.limit_by, by=by)


def forecast_of(process: Process | None, phase: str) -> Forecast | None:
    """What was forecast of the phase that a process died in, and not survived."""
    if process is None:
        return None
    step = (process.step or 0) + 1
    for forecast in reversed(process.forecasts):
        if (forecast.phase, forecast.step) == (phase, step) and forecast.met is None:
            return forecast
    return None


def advise(process: Process | None, phase: str) -> str:
    """What would help: as computed with the forecast, else by the phase."""
    general = DO_BY_PHASE.get(phase, DO)
    forecast = forecast_of(process, phase)
    said = advice(forecast) if forecast is not None else ""
    if said:
        return f"{said}. {general}"
    training = process.training if process is not None else None
    copies = training is not None and training.implementation in COPYING
    return f"{FUSED} {general}" if phase == "optimizer" and copies else general


def where(process: Process | None, phase: str) -> str:
    """ " in optimizer, step 1", " in evaluate after step 20"; "" where not seen."""
    if not phase or process is None:
        return ""
    step = process.step
    if in_step(phase, step) or phase == "step":
        return f" in {phase}, step {(step or 0) + 1:,}"
    return f" in {phase}" + (f" after step {step:,}" if step else "")


def numbers(need: Need) -> str:
    """ ": needed at least 25.4, limit 23.6 GB" with what is known of it."""
    least = "at least " if need.at_least else ""
    by = f" ({need.limit_by})" if need.limit_by else ""
    if need.needed is not None and need.limit is not None:
        limit, unit = size(need.limit).rsplit(" ", 1)
        needed, other = size(need.needed).rsplit(" ", 1)
        shown = needed if unit == other else f"{needed} {other}"
        if shown == limit and need.needed > need.limit:
            over = size(need.needed - need.limit)
            return f": needed {least}{over} more than the limit of {limit} {unit}{by}"
        return f": needed {least}{shown}, limit {limit} {unit}{by}"
    if need.needed is not None:
        return f": needed {least}{size(need.needed)}"
    if need.limit is not None:
        return f": the limit is {size(need.limit)}{by}"
    return ""
