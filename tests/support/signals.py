"""Runs at one moment, by what a probe and the system said last."""

from __future__ import annotations

from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.state import RunState
from trainwatch.runner.verdict import Verdict, judge

PID = 100
T0 = 1_000.0


class Run:
    """
    A run that was in `phase` when it last showed progress, at T0.

    Args:
        device: where its model lies.
    """

    def __init__(self, phase: str = "fetch", device: str = "cpu") -> None:
        self.events: list[ev.Event] = []
        self.say(-60, ev.RunStarted("id", "train", ["python", "train.py"], "/work"))
        self.say(-60, ev.ChildSpawned(PID))
        self.say(-59, ev.ProcessJoined(role="rank"))
        self.say(
            -50, ev.ModelDescribed("Llama", 10, 10, devices={device: 10}, dtypes={})
        )
        self.say(-50, ev.TrainingBegan("SFTTrainer", 0, 1000))
        for step in range(1, 13):
            self.step(step, -24 + 2 * step, 2.0)
        self.say(0, ev.PhaseObserved(PID, phase, T0, step=12))

    def say(self, at: float, body: ev.Body, pid: int = PID, rank: int = 0) -> Run:
        self.events.append(ev.of(body, time=T0 + at, pid=pid, rank=rank))
        return self

    def step(self, number: int, at: float, seconds: float, **phases: float) -> Run:
        shares = phases or {
            "fetch": 0.1 * seconds,
            "forward": 0.4 * seconds,
            "backward": 0.5 * seconds,
        }
        body = ev.StepEnded(
            number, seconds=seconds, phases={n: [1, s] for n, s in shares.items()}
        )
        return self.say(at, body)

    def signals(self, at: float, of: int = PID, **facts: Any) -> Run:
        """What the system says at `at` of a process that is idle since T0."""
        known = {"name": "python", "status": "S", "cpu": 0.0, "idle_since": T0}
        return self.say(at, ev.SignalsSampled(of=of, **{**known, **facts}), of)

    @property
    def state(self) -> RunState:
        return fold_all(self.events)

    def at(self, seconds: float) -> Verdict:
        """What is said so long after the last progress, of what was told by then."""
        now = T0 + seconds
        return judge(fold_all(e for e in self.events if e.time <= now), now)
