"""What the metrics of a run say: the dead ones are found, the healthy ones left."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold
from trainwatch.runner.state import EMPTY, RunState
from trainwatch.runner.triage.findings import recovered, signs
from trainwatch.runner.triage.sign import LASTING, Sign

PID = 7
NAN, INF = float("nan"), float("inf")
PEFT = ev.ModelDescribed("PeftModelForCausalLM", 12_000_000, 780_000, 3_120_000)
Logs = list[dict[str, float]]


def folded(bodies: list[Any], state: RunState = EMPTY) -> RunState:
    for body in bodies:
        state = fold(state, ev.of(body, time=1000.0 + state.events, pid=PID, rank=0))
    return state


def begun(max_steps: int | None = None, model: ev.ModelDescribed = PEFT) -> list[Any]:
    return [
        ev.ProcessJoined(role="rank"),
        model,
        ev.TrainingBegan("SFTTrainer", 0, max_steps, batch_size=2, accumulation=2),
    ]


def every(logs: Logs, max_steps: int | None, *more: Any) -> list[tuple[int, Sign]]:
    """(step, sign) for each log after which a sign stood."""
    state = folded([*begun(max_steps), *more])
    found = []
    for step, values in enumerate(logs, 1):
        state = folded(
            [ev.StepEnded(step=step), ev.MetricsLogged(step, None, values)], state
        )
        found += [(step, sign) for sign in signs(state)]
    return found


def rules(found: list[tuple[int, Sign]]) -> dict[str, str]:
    """Rule -> its worst severity."""
    worst: dict[str, str] = {}
    for _, sign in found:
        if worst.get(sign.rule) != "serious":
            worst[sign.rule] = sign.severity
    return worst


# --- ten healthy runs ---------------------------------------------------------


def curve(
    steps: int,
    loss: Callable[[int], float],
    norm: Callable[[int], float] = lambda n: 1.0 + 0.1 * math.sin(n),
    rate: Callable[[int], float] = lambda n: 2e-4,
    **more: Callable[[int], float],
) -> Logs:
    made = {"loss": loss, "grad_norm": norm, "learning_rate": rate, **more}
    return [
        {name: value(n) for name, value in made.items()} for n in range(1, steps + 1)
    ]


def decay(n: int) -> float:
    return 1.2 + 2.0 * math.exp(-n / 40)


def noisy(seed: int, size: float) -> Callable[[int], float]:
    chance = random.Random(seed)
    return lambda n: max(0.01, decay(n) + chance.gauss(0, size))


def heavy(seed: int) -> Callable[[int], float]:
    chance = random.Random(seed)
    return lambda n: 1.5 * chance.lognormvariate(0, 0.6)


def plateau(n: int) -> float:
    return 0.1 + 0.001 * math.sin(n * 7)


def spiky(n: int) -> float:
    return decay(n) * (6.0 if n in (40, 41, 90) else 1.0)


def down(n: int) -> float:
    return 3.0 * math.exp(-n / 8)


def nan_once(n: int) -> float:
    return NAN if n == 1 else 1.0


HEALTHY: dict[str, tuple[Logs, int | None, tuple[Any, ...]]] = {
    "smooth": (curve(200, decay), 200, ()),
    "warm-up from 0, cosine to 0": (
        curve(
            200,
            noisy(1, 0.05),
            rate=lambda n: (
                2e-4 * (n - 1) / 10
                if n <= 10
                else 1e-4 * (1 + math.cos(math.pi * (n - 10) / 190))
            ),
        ),
        200,
        (),
    ),
    "linear to 0 logged after the step": (
        curve(100, noisy(2, 0.1), rate=lambda n: 2e-4 * (1 - n / 100)),
        100,
        (),
    ),
    "noisy, batch of one": (curve(300, heavy(3)), 300, ()),
    "noisier, no known length": (curve(300, heavy(4)), None, ()),
    "a plateau with hardly any noise": (curve(200, plateau), 200, ()),
    "spikes that recover": (curve(150, spiky), 150, ()),
    "one nan under AMP": (curve(60, decay, norm=nan_once), 60, ()),
    "the loss scale of fp16 settles": (
        curve(60, decay, norm=lambda n: INF if n <= 3 else 1.0),
        60,
        (ev.StepEnded(step=0, skipped=True),),
    ),
    "learned by heart": (curve(120, down), 120, ()),
    "GRPO: loss of 0 at first, rewards that differ": (
        curve(
            60,
            lambda n: 0.0 if n < 4 else 0.01 * math.sin(n),
            norm=lambda n: 0.0 if n % 7 == 0 else 0.3,
            reward=lambda n: 0.5,
            frac_reward_zero_std=lambda n: 1.0 if n % 5 == 0 else 0.4,
            **{"completions/clipped_ratio": lambda n: 0.9 if n % 9 else 1.0},
        ),
        60,
        (),
    ),
    "one step without a gradient": (
        curve(60, decay, norm=lambda n: 0.0 if n == 20 else 1.0),
        60,
        (),
    ),
    "samples between the steps all end at their cap": (
        curve(40, decay),
        40,
        tuple(
            ev.GenerationEnded(n, tokens=32, hit_cap=True, rows=1, rows_at_cap=1)
            for n in range(40)
        ),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_runs_raise_nothing(name: str) -> None:
    logs, max_steps, more = HEALTHY[name]
    assert rules(every(logs, max_steps, *more)) == {}


@pytest.mark.parametrize("seed", range(20))
def test_noise_raises_nothing(seed: int) -> None:
    logs = curve(200, noisy(seed, 0.25) if seed % 2 else heavy(seed))
    assert rules(every(logs, 200)) == {}


# --- sick ones ----------------------------------------------------------------


SICK: dict[str, tuple[Logs, str, str]] = {
    "all labels masked": (
        curve(6, lambda n: 0.0, norm=lambda n: 0.0),
        "metrics.loss-zero",
        "serious",
    ),
    "the loss falls to 0 at once": (
        curve(6, lambda n: 3.5 if n < 4 else 0.0),
        "metrics.loss-zero",
        "serious",
    ),
    "the loss comes down to 0": (
        curve(80, lambda n: down(n) if n < 60 else 0.0),
        "metrics.loss-zero",
        "attention",
    ),
    "nan shown as 0": (
        curve(6, lambda n: 0.0, norm=lambda n: NAN),
        "metrics.loss-zero",
        "serious",
    ),
    "an adapter without a gradient": (
        curve(6, lambda n: 8.4, norm=lambda n: 0.0),
        "metrics.adapter-idle",
        "serious",
    ),
    "diverged": (
        curve(40, lambda n: decay(n) if n < 20 else NAN),
        "metrics.loss-not-finite",
        "serious",
    ),
    "five gradients in a row": (
        curve(30, decay, norm=lambda n: 1.0 if n < 20 else NAN),
        "metrics.gradient-not-finite",
        "serious",
    ),
    "two gradients in a row": (
        curve(21, decay, norm=lambda n: 1.0 if n < 20 else INF),
        "metrics.gradient-not-finite",
        "attention",
    ),
    "jumped and stays": (
        curve(60, lambda n: noisy(5, 0.05)(n) + (6 if n > 40 else 0)),
        "metrics.loss-jumped",
        "attention",
    ),
    "no learning rate": (
        curve(6, decay, rate=lambda n: 0.0),
        "metrics.rate-zero",
        "serious",
    ),
    "the schedule ends too early": (
        curve(60, decay, rate=lambda n: max(0.0, 2e-4 * (1 - n / 20))),
        "metrics.rate-zero",
        "attention",
    ),
    "equal rewards": (
        curve(8, lambda n: 0.0, frac_reward_zero_std=lambda n: 1.0, reward=decay),
        "metrics.rewards-equal",
        "serious",
    ),
    "completions cut": (
        curve(4, decay, reward=decay, **{"completions/clipped_ratio": lambda n: 1.0}),
        "metrics.completions-capped",
        "attention",
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_sick_runs_are_found_with_their_numbers(name: str) -> None:
    logs, rule, severity = SICK[name]
    found = every(logs, 100)
    assert rules(found).get(rule) == severity
    sign = next(sign for _, sign in reversed(found) if sign.rule == rule)
    assert any(character.isdigit() for character in " ".join(sign.evidence))
    assert sign.why
    assert sign.do
    assert sign.kind in ("numeric", "data")


def test_what_lasts_is_told_within_two_logs() -> None:
    for logs, rule, _ in SICK.values():
        if rule in ("metrics.loss-jumped", "metrics.completions-capped"):
            continue
        found = every(logs, 100)
        began = min(sign.first_step or 0 for _, sign in found if sign.rule == rule)
        assert min(step for step, sign in found if sign.rule == rule) <= began + 1


def test_grad_norm_nan_is_judged_by_how_long_it_stays() -> None:
    logs = curve(20, decay, norm=lambda n: NAN if n >= 10 else 1.0)
    by_step = {s: g for s, g in every(logs, 20) if "gradient" in g.rule}
    assert 10 not in by_step
    assert by_step[11].severity == "attention"
    assert by_step[9 + LASTING].severity == "serious"


def test_what_was_before_is_not_forgotten_in_a_long_run() -> None:
    logs = curve(
        600,
        lambda n: down(n) if n < 50 else 0.0,
        rate=lambda n: 1e-4 if n < 20 else 0.0,
    )
    assert rules(every(logs, 10_000)) == {
        "metrics.loss-zero": "attention",
        "metrics.rate-zero": "attention",
    }


def test_a_jump_that_stays_is_not_taken_for_the_new_usual() -> None:
    logs = curve(400, lambda n: noisy(9, 0.02)(n) + (5 if n > 60 else 0))
    found = every(logs, 400)
    assert [step for step, _ in found][:100] == list(range(63, 163))
    state = folded(begun(400))
    for step, values in enumerate(logs, 1):
        state = folded([ev.MetricsLogged(step, None, values)], state)
    assert state.lead is not None
    assert recovered(found[0][1], state.lead) == ""


def test_each_training_is_judged_by_itself() -> None:
    state = folded(begun(20))
    for step in range(1, 21):
        logged = ev.MetricsLogged(step, None, {"loss": 0.2, "reward": 1.0})
        state = folded([logged], state)
    state = folded([ev.TrainingBegan("RewardTrainer", 0, 20)], state)
    for step in range(1, 21):
        state = folded([ev.MetricsLogged(step, None, {"loss": 9.0})], state)
        assert signs(state) == ()


def test_nothing_trainable() -> None:
    frozen = ev.ModelDescribed("LlamaForCausalLM", 1_000, 0)
    (sign,) = signs(folded(begun(10, frozen)))
    assert (sign.rule, sign.severity) == ("metrics.nothing-trainable", "serious")
    assert signs(folded([ev.ProcessJoined(role="rank"), frozen])) == ()


def test_no_gradient_in_memory_where_no_norm_is_logged() -> None:
    ledger = ev.LedgerMeasured(1, 3_120_000, 40_000_000, 0, 0, 0, 0)
    (sign,) = signs(
        folded([*begun(10), ledger, ev.MetricsLogged(1, None, {"loss": 8})])
    )
    assert (sign.rule, sign.severity) == ("metrics.adapter-idle", "serious")


def test_rows_at_the_cap_count_where_rewards_are_given() -> None:
    ended = [
        ev.GenerationEnded(n, tokens=64, hit_cap=True, rows=8, rows_at_cap=8)
        for n in range(2)
    ]
    reward = ev.MetricsLogged(1, None, {"loss": 0.1, "reward": 0.5})
    assert [s.rule for s in signs(folded([*begun(9), *ended, reward]))] == [
        "metrics.completions-capped"
    ]
    free = ev.GenerationEnded(3, tokens=64, hit_cap=True, rows=8, rows_at_cap=7)
    assert signs(folded([*begun(9), *ended, free, reward])) == ()


def test_recovery_needs_a_better_number() -> None:
    def state(*losses: float) -> RunState:
        logs = [ev.MetricsLogged(n, None, {"loss": x}) for n, x in enumerate(losses)]
        return folded([*begun(100), *logs])

    up = state(*[1.0] * 20, 9.0, 9.0, 9.0)
    (sign,) = signs(up)
    assert up.lead is not None
    assert recovered(sign, up.lead) == ""
    assert recovered(sign, up.lead) == "", "it has not come back"
    zero = Sign("r", "serious", "", "", "", "", (), metric="loss", stuck=0.0)
    still = state(1.0, 0.0)
    assert still.lead is not None
    assert recovered(zero, still.lead) == "", "it is where it was stuck"
    back = state(*[1.0] * 20, 9.0, 9.0, 9.0, 1.0)
    assert back.lead is not None
    assert "1 at step 23" in recovered(sign, back.lead)


def test_no_process_no_signs() -> None:
    assert signs(EMPTY) == ()
