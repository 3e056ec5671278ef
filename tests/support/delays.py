"""
Delays in a script, and how long each one truly took by the script's own clock.

The scripts beside this file import it by its name; it needs nothing but Python.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 0.3
LONG_S = 0.4
"""Between steps, where what the script itself does takes milliseconds."""
WARM_UP = 4
ROUNDS = 5


class Delays:
    """Sleeps where its script says, and keeps a row for each sleep."""

    def __init__(self) -> None:
        self.step = 0
        """The step under way, from 1; 0 outside of training."""
        self._stack = ""
        self._phases: dict[str, str] = {}
        self._plan: list[str] = []
        self._calls: Counter[str] = Counter()
        self._rows: list[dict] = []
        self._inner = 0.0
        """Seconds of what was whole by itself within the whole under way."""

    def begin(self, stack: str, places: dict[str, str]) -> int:
        """
        Training begins. After a warm-up one of `places` is slow in every second
        step, each of them in turn, ROUNDS times.

        Args:
            places: where the script sleeps -> the phase that must show it.

        Returns:
            Steps to train.
        """
        self._stack, self._phases, self.step = stack, places, 1
        self._plan = [""] * WARM_UP
        for place in list(places) * ROUNDS:
            self._plan += [place, ""]
        return len(self._plan)

    def end_step(self) -> None:
        self.step += 1

    def end(self) -> None:
        self.step, self._plan = 0, []

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What runs now is not the step."""
        plan, self._plan = self._plan, []
        yield
        self._plan = plan

    @contextmanager
    def whole(self) -> Iterator[None]:
        """
        What runs now is the whole phase of the delay in it: how long it took, with
        files to write, differs by more than the delay may be off. One in another is
        no part of the outer one.
        """
        began, first, outer = time.monotonic(), len(self._rows), self._inner
        self._inner = 0.0
        yield
        took = time.monotonic() - began
        for row in self._rows[first:]:
            row.setdefault("whole", took - self._inner)
        self._inner = outer + took

    def __call__(self, place: str) -> None:
        """Sleep in the steps in which `place` is slow."""
        if self._due(place):
            began = time.monotonic()
            time.sleep(SECONDS)
            self._add(place, self._phases[place], began)

    def busy(self, place: str) -> None:
        """The same, working instead of sleeping."""
        if self._due(place):
            began = time.monotonic()
            while time.monotonic() < began + SECONDS:
                sum(range(1000))
            self._add(place, self._phases[place], began)

    def every_other(self, phase: str) -> None:
        """Sleep in the second call of this stack, the fourth and so on."""
        key = f"{self._stack} {phase}"
        self._calls[key] += 1
        if self._calls[key] % 2 == 0:
            began = time.monotonic()
            time.sleep(LONG_S)
            self._add(phase, phase, began)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(self._rows))

    def _due(self, place: str) -> bool:
        step = self.step - 1
        return 0 <= step < len(self._plan) and self._plan[step] == place

    def _add(self, place: str, phase: str, began: float) -> None:
        self._rows.append(
            {
                "stack": self._stack,
                "place": place,
                "phase": phase,
                "step": self.step,
                "began": began,
                "seconds": time.monotonic() - began,
            }
        )
