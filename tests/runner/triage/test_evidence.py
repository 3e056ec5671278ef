"""What a run shows about a warning."""

from __future__ import annotations

from typing import Any

import pytest

from trainwatch.runner.state import (
    Ledger,
    PhaseNow,
    Process,
    RunState,
    StepStat,
    Trainable,
    Training,
)
from trainwatch.runner.triage.evidence import (
    AGAIN,
    AGAIN_S,
    NOT_MEASURED,
    Seen,
    rejudge,
    repeated,
)

NAN = float("nan")
NOTHING = Seen()


def run(
    metrics: dict[str, float] | None = None,
    trainable: Trainable | None = None,
    **more: Any,
) -> RunState:
    known = metrics or {}
    recent = {name: ((1, value),) for name, value in known.items()}
    process = Process(
        pid=7,
        role="rank",
        rank=0,
        metrics=known,
        trainable=trainable,
        **{"recent": recent, **more},
    )
    return RunState(processes={7: process})


def logged(**metrics: list[float]) -> dict[str, tuple[tuple[int, float], ...]]:
    return {name: tuple(enumerate(values, 1)) for name, values in metrics.items()}


def severity(judged_by: str, state: RunState, seen: Seen = NOTHING) -> str | None:
    found = rejudge(judged_by, state, seen)
    if found is not None:
        assert found.shown
    return found.severity if found else None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (RunState(), None),
        (run({}), None),
        (run({"grad_norm": 1.3}), "harmless"),
        (run({"grad_norm": 0.0}), "serious"),
        (run({"grad_norm": NAN}), None),
        (run({}, Trainable(parameters=0, total=10)), "serious"),
        (run({"grad_norm": 1.0}, Trainable(parameters=3, total=10)), "harmless"),
        (run(ledger=Ledger(weights_trainable=400, gradients=0)), "serious"),
        (run(ledger=Ledger(weights_trainable=400, gradients=400)), "harmless"),
        (
            run({"grad_norm": 1.0}, ledger=Ledger(weights_trainable=400, gradients=40)),
            "attention",
        ),
    ],
)
def test_gradients(state: RunState, expected: str | None) -> None:
    assert severity("gradients", state) == expected


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"loss": 1.0}, None),
        ({"loss": 0.0}, "serious"),
        ({"loss": 0.0, "reward": 1.0}, None),
        ({"loss": 0.0, "rewards/chosen": 1.0}, "serious"),
        ({}, None),
    ],
)
def test_labels_by_the_loss(metrics: dict[str, float], expected: str | None) -> None:
    assert severity("labels", run(metrics)) == expected


@pytest.mark.parametrize(
    ("count", "steps", "expected"),
    [
        (3, 2, None),  # 8 rows: a loader reads ahead
        (3, 100, "harmless"),  # 3 of 400
        (40, 100, "attention"),  # 1 in 10
        (390, 100, "serious"),
        (5_000, 100, "serious"),  # more than the rows that were trained on
    ],
)
def test_labels_by_the_share_of_rows(
    count: int, steps: int, expected: str | None
) -> None:
    state = run(
        {"loss": 1.2},
        training=Training(batch_size=2, accumulation=2),
        steps=StepStat(count=steps),
    )
    assert severity("labels", state, Seen(count=count)) == expected


def test_rows_of_a_map_are_counted_while_it_runs() -> None:
    seen = Seen(count=900, phase="data")
    assert severity("labels", run(phase=PhaseNow("data", rows=1000)), seen) == "serious"
    training = run(training=Training(batch_size=2), steps=StepStat(count=50))
    assert severity("labels", training, seen) is None


@pytest.mark.parametrize(
    ("norms", "skipped", "expected"),
    [
        ([], 0, None),
        ([NAN], 0, None),
        ([NAN, 1.0], 0, "harmless"),
        ([1.0, NAN, NAN], 0, "attention"),
        ([NAN, NAN, NAN], 3, None),
        ([1.0, *[NAN] * 5], 0, "serious"),
        ([NAN, NAN, NAN, NAN, 1.0], 0, "attention"),
    ],
)
def test_one_nan_against_five(
    norms: list[float], skipped: int, expected: str | None
) -> None:
    state = run(recent=logged(grad_norm=norms), steps=StepStat(skipped=skipped))
    assert severity("finite", state) == expected


LONG = "Token indices sequence length is longer than the … for this model (2112 > 1024)"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, None),
        ({"steps": StepStat(count=50)}, "attention"),
        (
            {
                "steps": StepStat(count=50, tokens=20_000),
                "training": Training(batch_size=2),
            },
            "harmless",
        ),
        (
            {
                "steps": StepStat(count=50, tokens=102_000),
                "training": Training(batch_size=2),
            },
            "attention",
        ),
        ({"error_kind": "IndexError", "error": "index out of range"}, "serious"),
    ],
)
def test_rows_that_are_too_long(more: dict[str, Any], expected: str | None) -> None:
    assert severity("lengths", run(**more), Seen((LONG,))) == expected


def test_a_fallback_says_that_its_time_is_not_measured() -> None:
    found = rejudge("fallback", run(), Seen(phase="forward"))
    assert found is not None
    assert found.severity == "attention"
    assert NOT_MEASURED in found.shown
    assert severity("fallback", run(), Seen(phase="load")) == "harmless"


HEAD = (
    "Some weights of BertForSequenceClassification were not initialized from the model "
    "checkpoint at x and are newly initialized: ['classifier.weight']"
)
LOST = HEAD.replace("['classifier.weight']", "['bert.encoder.layer.0.output.weight']")
UNREAD = "Some weights were newly initialized, and that is all"


@pytest.mark.parametrize(
    ("texts", "by_rule", "expected"),
    [
        ((HEAD,), "attention", "attention"),
        ((LOST,), "attention", "serious"),
        ((HEAD, LOST), "attention", "serious"),
        ((HEAD,), "serious", "attention"),
        ((HEAD, UNREAD), "serious", None),
        ((UNREAD,), "attention", None),
    ],
)
def test_keys(texts: tuple[str, ...], by_rule: str, expected: str | None) -> None:
    assert severity("keys", RunState(), Seen(texts, by_rule)) == expected


def test_repeats_matter_only_when_nothing_moves() -> None:
    still = run(progressed=100.0)
    assert repeated(still, AGAIN, 100.0, 100.0 + AGAIN_S) is not None
    assert repeated(still, AGAIN - 1, 100.0, 100.0 + AGAIN_S) is None
    assert repeated(still, AGAIN, 130.0, 100.0 + AGAIN_S) is None
    assert repeated(run(progressed=130.0), AGAIN, 100.0, 170.0) is None
    assert repeated(RunState(), AGAIN, 100.0, 900.0) is None


def test_unknown_evidence_says_nothing() -> None:
    assert rejudge("", run({"loss": 0.0})) is None
