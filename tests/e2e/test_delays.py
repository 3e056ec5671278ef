"""
A delay put into a phase is found in that phase, and nowhere else.

Each script is slow in one place at a time and says how long it truly was, by its
own clock. A phase of a step grew by that long to 5 %, over the same phase where
nothing was slow, and no other phase of that step grew; a phase between steps took
what the script took for the whole of it, to 5 % of the delay.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from support.examples import events_of
from support.runs import Trainwatch, only_run
from trainwatch.probes.events import STEP_PHASES
from trainwatch.runner.demo import missing_packages

SUPPORT = Path(__file__).parent.parent / "support"
STEP = {"collate", "forward", "loss", "backward", "clip", "optimizer"}
BETWEEN = {"evaluate", "save"}
TRAINER = STEP | BETWEEN | {"callback", "log"}
WITHIN = 0.05
ELSEWHERE = 0.15
"""What is counted in the wrong phase is off by all of the delay."""
WARM_UP = 3
"""Steps that are not compared: the first ones are slow by themselves."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]

Row = dict[str, Any]


@dataclass
class Part:
    """One training, or what comes before the first: as told, and what was slow."""

    calls: list[Row]
    steps: list[Row] = field(default_factory=list)
    phases: list[Row] = field(default_factory=list)

    def off(self) -> dict[tuple[str, str], float]:
        """
        (place, phase) -> by how much the phase is longer than it should be, as a
        share of the delay.

        A busy machine takes the processor away from any phase for milliseconds.
        So of the rounds the median counts for the phase that is slow; any other
        phase must be off in all of them.
        """
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        slow = {row["step"] for row in self.calls}
        usual = {phase: self._usual(phase, slow) for phase in STEP_PHASES}
        for step in slow:
            told = next((t for t in self.steps if step in _numbers(t)), None)
            if told is None:
                continue
            rows = [row for row in self.calls if row["step"] == step]
            wanted: Counter[str] = Counter()
            for row in rows:
                wanted[row["phase"]] += row["seconds"]
            for place in {row["place"] for row in rows}:
                delay = sum(row["seconds"] for row in rows if row["place"] == place)
                for phase in STEP_PHASES:
                    seconds = _seconds(told, phase) - told["count"] * usual[phase]
                    found[place, phase].append((seconds - wanted[phase]) / delay)
        owner = {row["place"]: row["phase"] for row in self.calls}
        between = set(owner.values()) - set(STEP_PHASES)
        return {
            **{
                (place, phase): median(shares)
                if phase == owner[place]
                else min(shares, key=abs)
                for (place, phase), shares in found.items()
            },
            **{(phase, phase): self._between(phase) for phase in between},
        }

    def _usual(self, phase: str, slow: set[int]) -> float:
        """Seconds of `phase` in a step where nothing was slow."""
        quick = [
            _seconds(told, phase) / told["count"]
            for told in self.steps
            if _numbers(told).start > WARM_UP and slow.isdisjoint(_numbers(told))
        ]
        return median(quick) if quick else 0.0

    def _between(self, phase: str) -> float:
        """
        The same for a phase that is no part of a step: what is told beyond the
        script's own clock.
        """
        return median(
            (self._told(call) - call.get("whole", call["seconds"])) / call["seconds"]
            for call in self.calls
            if call["phase"] == phase
        )

    def _told(self, call: Row) -> float:
        """Seconds of the phase in which `call` was; 0 where none was told."""
        for told in self.phases:
            within = 0 <= call["began"] - told["began"] < told["seconds"]
            if within and told["phase"] == call["phase"]:
                return float(told["seconds"])
        return 0.0


def _numbers(told: Row) -> range:
    """The steps that one event tells."""
    return range(told["step"] - told["count"] + 1, told["step"] + 1)


def _seconds(told: Row, phase: str) -> float:
    return float(told["phases"].get(phase, [0, 0.0])[1])


def parts(
    trainwatch: Trainwatch, tmp_path: Path, script: str, *words: str
) -> dict[str, Part]:
    """The parts of a run of `script`, by their stack; "" comes before the first."""
    file = tmp_path / "slow.json"
    command = [sys.executable, str(SUPPORT / script), str(file), *words]
    done = trainwatch("run", "--plain", "--", *command, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:]
    slow: dict[str, list[Row]] = defaultdict(list)
    for row in json.loads(file.read_text()):
        slow[row["stack"]].append(row)
    made = [Part(rows) for rows in slow.values()]
    number = 0
    for event in events_of(only_run(trainwatch.home)):
        assert event["type"] != "probe_failed", event
        if event["type"] == "training_began":
            number += 1
        elif event["type"] == "step_ended":
            made[number].steps.append(event)
        elif event["type"] == "phase_ended":
            made[number].phases.append(event)
    assert number == len(made) - 1
    return dict(zip(slow, made, strict=True))


def check(part: Part, places: set[str]) -> None:
    off = part.off()
    assert {place for place, _ in off} == places
    owner = {row["place"]: row["phase"] for row in part.calls}
    wrong = [
        f"{place}: {phase} is off by {share:+.1%} of the delay"
        for (place, phase), share in off.items()
        if abs(share) > (WITHIN if phase == owner[place] else ELSEWHERE)
    ]
    assert not wrong


def test_the_phases_of_trainers(
    trainwatch: Trainwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = parts(trainwatch, tmp_path, "delayed_trainers.py")
    check(found.pop(""), {"load", "data", "prefill", "decode"})
    check(found.pop("trainer"), TRAINER | {"item"})
    check(
        found.pop("accumulating"),
        {"collate", "forward", "backward", "log", "evaluate", "save"},
    )
    check(found.pop("sft"), TRAINER)
    check(found.pop("dpo"), TRAINER | {"reference"})
    assert not found


@pytest.mark.parametrize("stack", ["plain", "accelerate"])
def test_the_phases_of_a_loop(
    stack: str, trainwatch: Trainwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = parts(trainwatch, tmp_path, "delayed_loops.py", stack)
    check(found[""], {"prefill", "decode"})
    check(found[stack], STEP | BETWEEN | {"item", "between"})


SECOND = """
import time, torch

class Slow(torch.nn.Linear):
    def forward(self, x):
        time.sleep(0.05)
        return super().forward(x)

def train(width):
    model = Slow(8, width)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(4):
        model(torch.ones(2, 8)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

train(2)
train(4)
"""


def test_the_forward_of_a_second_model(trainwatch: Trainwatch, tmp_path: Path) -> None:
    """As in cross-validation: another model, another optimizer, one process."""
    script = tmp_path / "second.py"
    script.write_text(SECOND)
    done = trainwatch("run", "--plain", "--", sys.executable, str(script))
    assert done.returncode == 0, done.stdout[-3000:]
    events = events_of(only_run(trainwatch.home))
    steps = [event for event in events if event["type"] == "step_ended"]
    assert [step["step"] for step in steps] == list(range(1, 9))
    assert min(_seconds(step, "forward") for step in steps) >= 0.05
