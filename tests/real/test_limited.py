"""
SmolLM2 under a limit between what its backward and its optimizer hold: partial
fine-tuning dies there and was told so; LoRA lives and is not alarmed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch, console
from trainwatch.probes import events as ev

SCRIPT = Path(__file__).with_name("scripts") / "limited.py"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS, /proc"),
]


def bodies(folder: Path) -> list[Any]:
    lines = (folder / "events.jsonl").read_bytes().splitlines()
    return [ev.decode(line).body for line in lines]


def test_partial_is_told_before_it_dies_and_lora_lives(
    smollm2: Path, trainwatch: Trainwatch
) -> None:
    command = [sys.executable, str(SCRIPT), str(smollm2)]
    done = trainwatch("run", "--plain", "--", *command, "partial", timeout=200)
    document = trainwatch.show()
    folder = Path(document["run"]["home"])
    limit = re.search(rb"limit (\d+) state (\d+)", console(folder))
    assert limit is not None, done.stdout[-3000:]
    check_the_death(done.stdout, document, bodies(folder), int(limit.group(2)))

    lora = (*command, "lora", limit.group(1).decode())
    done = trainwatch("run", "--plain", "--", *lora, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "does not fit" not in done.stdout
    document = trainwatch.show()
    told = [
        b
        for b in bodies(Path(document["run"]["home"]))
        if isinstance(b, (ev.Forecast, ev.FindingRaised))
    ]
    assert [b.fits for b in told if isinstance(b, ev.Forecast)] == [True] * 3
    rules = [b.rule for b in told if isinstance(b, ev.FindingRaised)]
    assert [rule for rule in rules if rule.startswith("memory.")] == []
    (process,) = (p for p in document["processes"] if p["role"] == "rank")
    (first, _) = process["memory"]["forecasts"]
    assert (first["phase"], first["error_percent"]) == ("optimizer", 0.0)


def check_the_death(
    printed: str, document: dict[str, Any], said: list[Any], state: int
) -> None:
    """It was forecast in the log and on the screen before it died in `optimizer`."""
    assert document["run"]["status"] == "failed"
    (process,) = (p for p in document["processes"] if p["role"] == "rank")
    assert process["error"]["phase"] == "optimizer"
    assert process["steps"]["count"] == 0
    forecast = process["memory"]["forecast"]
    assert (forecast["phase"], forecast["step"]) == ("optimizer", 1)
    assert (forecast["fits"], forecast["limit_by"]) == (False, "RLIMIT_AS")
    assert forecast["headroom"] < forecast["needs"]
    assert forecast["needs"] == pytest.approx(state, rel=0.01)
    asked = [b.asked for b in said if isinstance(b, ev.Forecast)]
    assert asked == ["train begin", "optimizer"]
    died = [i for i, b in enumerate(said) if isinstance(b, ev.ExceptionRaised)]
    told = [i for i, b in enumerate(said) if isinstance(b, ev.Forecast)]
    assert max(told) < min(died)
    lines = printed.splitlines()
    alarm = next(i for i, text in enumerate(lines) if "forecast, does not fit" in text)
    death = next(
        i for i, text in enumerate(lines) if "RuntimeError in optimizer" in text
    )
    assert alarm < death
    assert "optimizer.step of step 1 will need" in lines[alarm]
