"""Warnings of real runs: the same text judged by the run, and no false alarms."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from support.examples import NAMES, Examples, events_of
from support.runs import Trainwatch, only_run
from trainwatch.runner.demo import examples_folder, missing_packages
from trainwatch.runner.triage.batch import triage_text

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]

SCRIPT = Path(__file__).parent / "scripts" / "checkpointed.py"
SAYING = "None of the inputs have requires_grad=True"
RECORDED = Path(__file__).parent.parent.parent / "docs" / "recorded"
ALARMS = ("serious", "attention")


def judged(events: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """What was told of the family with `text`, in order."""
    return [e for e in events if e["type"] == "warning_triaged" and text in e["text"]]


def alarms(events: list[dict[str, Any]]) -> list[str]:
    """Everything that was ever called serious or attention, or found."""
    return [
        f"{e['severity']}: {e.get('text') or e.get('summary')}"
        for e in events
        if e["type"] in ("warning_triaged", "finding_raised")
        and e["severity"] in ALARMS
    ]


def run(trainwatch: Trainwatch, *command: str, **more: str) -> list[dict[str, Any]]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **more,
    }
    done = trainwatch(
        "run", "--plain", "--", sys.executable, *command, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return events_of(only_run(trainwatch.home))


def test_the_same_text_is_harmless_where_the_adapter_trains(
    trainwatch: Trainwatch,
) -> None:
    told = judged(run(trainwatch, str(SCRIPT), "train"), SAYING)
    assert told[-1]["severity"] == "harmless"
    assert (told[-1]["was"], told[-1]["by"]) == ("attention", "evidence")
    assert "gradients arrive" in told[-1]["evidence"]
    assert told[-1]["count"] >= 1


def test_the_same_text_is_serious_where_nothing_is_learned(
    trainwatch: Trainwatch,
) -> None:
    events = run(trainwatch, str(SCRIPT), "idle")
    told = judged(events, SAYING)
    assert told[-1]["severity"] == "serious"
    assert (told[-1]["was"], told[-1]["by"]) == ("attention", "evidence")
    assert "grad_norm is 0" in told[-1]["evidence"]
    found = [e for e in events if e["type"] == "finding_raised"]
    assert [e["rule"] for e in found] == ["metrics.gradient-zero"]
    assert "grad_norm is 0" in " ".join(found[0]["evidence"])
    review = json.loads(trainwatch("review", "--json").stdout)
    assert review["counts"]["serious"] == 2
    assert review["items"][0]["severity"] == "serious"
    # It finished with code 0, and yet what was serious is not taken as known.
    (known,) = (trainwatch.home / "known").glob("*.json")
    families = json.loads(known.read_text())["families"]
    assert not {item["key"] for item in review["items"][:2]} & set(families)


@pytest.mark.parametrize("name", NAMES)
def test_healthy_examples_raise_no_alarm(name: str, examples: Examples) -> None:
    events = examples.pair(name).events
    assert sum(e["type"] == "warning_triaged" for e in events) > 0
    assert alarms(events) == []


@pytest.mark.parametrize(
    ("name", "verbosity"),
    [("sft_lora", "debug"), ("dpo", "info"), ("partial", "warning")],
)
def test_verbosity_raises_no_alarm(
    name: str, verbosity: str, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    script = str(examples_folder() / f"{name}.py")
    words = ("--steps", "2", "--rows", "40", "--out", str(tmp_path / "out"))
    events = run(trainwatch, script, *words, TRANSFORMERS_VERBOSITY=verbosity)
    assert alarms(events) == []


@pytest.mark.parametrize("name", ["console.log"])
def test_recorded_logs_raise_no_alarm(name: str) -> None:
    found = triage_text((RECORDED / name).read_text(errors="replace"))
    assert [item for item in found if item.severity in ALARMS] == []
