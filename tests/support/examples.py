"""The four examples, each run bare and supervised at the same time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.runs import Trainwatch, only_run
from trainwatch.runner.demo import examples_folder

NAMES = ("sft_lora", "dpo", "partial", "plain_loop")
STEPS = 6
DEADLINE_S = 240.0
_EXACT = Path(__file__).with_name("exact.py")


@dataclass
class Ran:
    """What an example left behind."""

    out: Path
    losses: list[str]
    """Of every backward, as hexadecimal floats."""

    def history(self) -> list[dict[str, float]]:
        """What the Trainer logged, without what depends on the clock."""
        file = self.out / f"checkpoint-{STEPS}" / "trainer_state.json"
        if not file.exists():
            return []
        timed = ("_runtime", "_per_second")
        return [
            {name: value for name, value in row.items() if not name.endswith(timed)}
            for row in json.loads(file.read_text())["log_history"]
        ]

    def weights(self) -> dict[str, str]:
        """The SHA-256 of every file of weights and of optimizer state."""
        return {
            str(file.relative_to(self.out)): hashlib.sha256(
                file.read_bytes()
            ).hexdigest()
            for pattern in ("*.safetensors", "*.pt")
            for file in self.out.rglob(pattern)
        }


@dataclass
class Pair:
    """One example without and with trainwatch."""

    bare: Ran
    watched: Ran
    events: list[dict[str, Any]]


class Examples:
    """Runs each example once, for all tests that ask for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pairs: dict[str, Pair] = {}

    def pair(self, name: str) -> Pair:
        if name not in self._pairs:
            self._pairs[name] = _run(name, self.folder / name)
        return self._pairs[name]


def events_of(folder: Path) -> list[dict[str, Any]]:
    """All events of a run that has ended."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def other_share(events: list[dict[str, Any]]) -> float:
    """The median share of a step, after the first two, that no phase claims."""
    shares = sorted(
        event["phases"]["other"][1] / event["seconds"]
        for event in events
        if event["type"] == "step_ended" and event["step"] - event["count"] >= 2
    )
    return shares[len(shares) // 2]


def _run(name: str, folder: Path) -> Pair:
    folder.mkdir()
    home = folder / "home"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TRAINWATCH_HOME": str(home),
    }
    trainwatch = Trainwatch(home, folder)
    with subprocess.Popen(
        _command(name, folder / "bare"),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as bare:
        try:
            watched = trainwatch(
                *("run", "--plain", "--", *_command(name, folder / "watched")),
                timeout=DEADLINE_S,
                env=environment,
            )
            said, _ = bare.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            bare.kill()
            trainwatch("abort", "--kill", env=environment)
            raise
    assert bare.returncode == 0, said[-3000:]
    assert watched.returncode == 0, watched.stdout[-3000:]
    events = events_of(only_run(home))
    assert [e for e in events if e["type"] == "probe_failed"] == []
    return Pair(_ran(folder / "bare"), _ran(folder / "watched"), events)


def _command(name: str, out: Path) -> list[str]:
    out.mkdir()
    words = ["--steps", str(STEPS), "--rows", "60", "--sample-every", "6"]
    script = str(examples_folder() / f"{name}.py")
    losses = str(out / "losses")
    return [sys.executable, str(_EXACT), losses, script, "--out", str(out), *words]


def _ran(out: Path) -> Ran:
    return Ran(out, (out / "losses").read_text().split())
