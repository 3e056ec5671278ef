"""What a run shows about a warning."""

from __future__ import annotations

import pytest

from trainwatch.runner.state import Process, RunState, Trainable
from trainwatch.runner.triage.evidence import rejudge


def run(metrics: dict[str, float], trainable: Trainable | None = None) -> RunState:
    process = Process(pid=7, role="rank", rank=0, metrics=metrics, trainable=trainable)
    return RunState(processes={7: process})


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        (RunState(), None),
        (run({}), None),
        (run({"grad_norm": 1.3}), "harmless"),
        (run({"grad_norm": 0.0}), "serious"),
        (run({"grad_norm": float("nan")}), None),
        (run({}, Trainable(parameters=0, total=10)), "serious"),
        (run({"grad_norm": 1.0}, Trainable(parameters=3, total=10)), "harmless"),
    ],
)
def test_gradients(state: RunState, severity: str | None) -> None:
    found = rejudge("gradients", state)
    assert (found.severity if found else None) == severity


@pytest.mark.parametrize(
    ("metrics", "severity"),
    [
        ({"loss": 1.0}, None),
        ({"loss": 0.0}, "serious"),
        ({"loss": 0.0, "reward": 1.0}, None),
        ({}, None),
    ],
)
def test_labels(metrics: dict[str, float], severity: str | None) -> None:
    found = rejudge("labels", run(metrics))
    assert (found.severity if found else None) == severity


def test_unknown_evidence_says_nothing() -> None:
    assert rejudge("", run({"loss": 0.0})) is None
