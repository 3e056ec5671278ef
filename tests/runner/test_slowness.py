"""Facts of slowness: told where they carry something, and not elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner import slowness
from trainwatch.runner.fold import fold, fold_all
from trainwatch.runner.state import RunState

PID = 7
CPU = ev.ModelDescribed("Llama", 10, 10, dtypes={"float32": 10}, devices={"cpu": 10})
CUDA = replace(CPU, devices={"cuda:0": 10}, accelerator="cuda")
TRAINER = ev.TrainingBegan("SFTTrainer", 0, 100)


def at(time: float, body: ev.Body) -> ev.Event:
    return ev.of(body, time=time, pid=PID, rank=0)


def trained(
    *bodies: ev.Body,
    model: ev.ModelDescribed = CPU,
    began: ev.TrainingBegan = TRAINER,
    fetch: float = 0.05,
    seconds: float = 2.0,
    steps: int = 12,
) -> RunState:
    """After `steps` steps of `seconds`, of which `fetch` is the share of the input."""
    events = [
        at(0, ev.RunStarted("id", "train", ["python"], "/work")),
        at(0, ev.ProcessJoined(role="rank")),
        at(1, model),
        at(1, began),
    ]
    parts = {"fetch": fetch, "forward": (1 - fetch) / 2, "backward": (1 - fetch) / 2}
    for number in range(1, steps + 1):
        shares = {name: [1, share * seconds] for name, share in parts.items()}
        body = ev.StepEnded(number, seconds=seconds, phases=shares)
        events.append(at(1 + number * seconds, body))
    events += [at(100, body) for body in bodies]
    return fold_all(events)


def told(state: RunState) -> list[str]:
    return [body.rule for body in slowness.changes(state)]


def finding(state: RunState) -> ev.FindingRaised:
    (body,) = slowness.changes(state)
    assert isinstance(body, ev.FindingRaised)
    assert (body.kind, body.severity) == ("slow", "attention")
    return body


def test_a_run_without_anything_slow_is_told_nothing() -> None:
    assert told(trained()) == []
    assert told(RunState()) == []


@pytest.mark.parametrize(
    ("workers", "says"),
    [(0, "num_workers is 0"), (4, "num_workers is 4"), (None, "num_workers of the")],
)
def test_a_large_share_of_the_input_names_fetch_and_its_workers(
    workers: int | None, says: str
) -> None:
    found = finding(trained(fetch=0.4, began=replace(TRAINER, workers=workers)))
    assert found.rule == "slow.input"
    assert found.summary == "fetch takes 40 % of a step: 0.8 s waiting for rows"
    assert found.evidence == ["likely", "by the host clock"]
    assert found.do.startswith(says)


def test_the_input_below_its_share_or_in_a_short_run_is_not_told() -> None:
    assert told(trained(fetch=0.29)) == []
    assert told(trained(fetch=0.9, steps=9)) == []
    assert told(trained(fetch=0.9, seconds=0.5)) == []


def test_the_clock_of_the_device_is_asked_where_steps_were_sampled() -> None:
    sampled = ev.DeviceTimed(
        kind="cuda events",
        sampled=5,
        steps=12,
        step=12,
        seconds=2.0,
        phases={"fetch": 0.1, "forward": 0.9, "backward": 1.0},
    )
    assert told(trained(sampled, model=CUDA, fetch=0.5)) == []


def test_a_fact_is_told_once_and_ends_when_it_is_clearly_gone() -> None:
    state = trained(fetch=0.4)
    state = fold(state, at(101, finding(state)))
    assert told(state) == []
    for number in range(13, 40):
        parts = {"fetch": [1, 0.01], "forward": [1, 1.99]}
        body = ev.StepEnded(number, seconds=2.0, phases=parts)
        state = fold(state, at(100 + 2 * number, body))
    (over,) = slowness.changes(state)
    assert over == ev.FindingCleared("slow.input", "no longer so")


def test_a_share_that_moves_around_the_line_does_not_flap() -> None:
    state = trained(fetch=0.31)
    state = fold(state, at(101, finding(state)))
    parts = {"fetch": [1, 0.2], "forward": [1, 1.8]}
    state = fold(state, at(102, ev.StepEnded(13, seconds=2.0, phases=parts)))
    assert told(state) == []


def test_nothing_is_told_once_the_training_has_ended() -> None:
    assert told(trained(ev.TrainingEnded(12), fetch=0.5)) == []


def test_weights_on_the_cpu_are_told_where_an_accelerator_seems_to_be() -> None:
    found = finding(trained(model=replace(CPU, accelerator="cuda")))
    assert found.rule == "slow.on-cpu"
    assert found.evidence[0] == "possible"
    found = finding(trained(model=replace(CPU, accelerator="mps")))
    assert "Apple GPU" in found.summary


def test_weights_that_are_partly_elsewhere_are_not_called_on_the_cpu() -> None:
    both = replace(CPU, accelerator="cuda", devices={"cpu": 5, "cuda:0": 5})
    assert told(trained(model=both)) == []
    held = ev.MemorySampled(device="cuda:0")
    assert told(trained(held, model=replace(CPU, accelerator="cuda"))) == []


FULL = replace(TRAINER, precision="fp32")


def test_float32_on_a_card_is_told_where_it_computes() -> None:
    found = finding(trained(model=CUDA, began=FULL))
    assert found.rule == "slow.float32"
    assert found.evidence[0] == "possible"
    assert "bf16" in found.do


@pytest.mark.parametrize(
    ("model", "began"),
    [
        (CPU, FULL),
        (CUDA, replace(TRAINER, precision="bf16")),
        (CUDA, TRAINER),
        (replace(CUDA, dtypes={"bfloat16": 9, "float32": 1}), FULL),
    ],
    ids=["on a CPU", "autocast", "not known", "adapters alone"],
)
def test_float32_is_not_told_elsewhere(
    model: ev.ModelDescribed, began: ev.TrainingBegan
) -> None:
    assert told(trained(model=model, began=began)) == []


def generated(**facts: Any) -> ev.GenerationEnded:
    known = {"tokens": 100, "seconds": 30.0, "ttft_s": 0.4, "use_cache": True}
    return ev.GenerationEnded(id=1, **{**known, **facts})


def generation(**facts: Any) -> RunState:
    return trained(ev.GenerationBegan(id=1, began=0.0), generated(**facts))


GROWS = {"inter_token_first_half_s": 0.2, "inter_token_second_half_s": 0.4}


def test_generating_without_a_cache_is_likely_where_tokens_grow() -> None:
    found = finding(generation(use_cache=False, **GROWS))
    assert (found.rule, found.evidence[0]) == ("slow.generation", "likely")
    assert "use_cache=True" in found.do


def test_a_token_as_slow_as_the_prompt_is_told_too() -> None:
    found = finding(generation(use_cache=False, inter_token_s=0.35))
    assert "without a cache" in found.summary
    assert told(generation(use_cache=False, inter_token_s=0.05)) == []


def test_a_generation_that_slows_with_its_cache_is_possible() -> None:
    assert finding(generation(**GROWS)).evidence[0] == "possible"


def test_a_generation_that_does_not_slow_or_is_short_is_not_told() -> None:
    even = {"inter_token_first_half_s": 0.3, "inter_token_second_half_s": 0.3}
    assert told(generation(**even)) == []
    assert told(generation(use_cache=False, seconds=5.0, **GROWS)) == []


FALLBACK = ev.WarningTriaged(
    key="incompatibility.fallback-mps",
    rule="incompatibility.fallback-mps",
    severity="attention",
    text="The operator 'aten::nonzero' is not currently supported on the MPS backend",
)
MPS = replace(CPU, devices={"mps:0": 10}, accelerator="mps")


def test_operators_that_fall_back_to_the_cpu_are_named() -> None:
    found = finding(trained(FALLBACK, model=MPS))
    assert found.summary == "aten::nonzero runs on the CPU and not on MPS"
    assert found.evidence[0] == "possible"
    harmless = replace(FALLBACK, severity="harmless")
    assert told(trained(harmless, model=MPS)) == []
    assert told(trained(FALLBACK, model=CUDA)) == []


@pytest.mark.parametrize(
    ("phase", "says"), [("evaluate", "larger eval_steps"), ("save", "larger save_st")]
)
def test_what_runs_between_steps_is_told_where_it_takes_much(
    phase: str, says: str
) -> None:
    found = finding(trained(ev.PhaseEnded(phase, 16.0)))
    assert found.rule == f"slow.{phase}"
    assert "takes 40 % of the training's time" in found.summary
    assert found.do.startswith(says)
    assert told(trained(ev.PhaseEnded(phase, 9.0))) == []
