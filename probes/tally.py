"""
Where the time went: the ring of phase changes, added up by phase.

The training thread counts steps here as they end; the ring is read every few of
them, and by whoever wants to tell them.
"""

from __future__ import annotations

import threading

from .events import PHASES
from .flight import AGAIN, NUMBER, PHASE, RING, SHIFT, Changes
from .steps import Ended

_FILED = list(range(PHASE + 1))
_FILED[NUMBER["prefill"]] = _FILED[NUMBER["decode"]] = NUMBER["generate"]


class Tally:
    """
    Sums that only grow.

    Args:
        changes: the ring; it is read from its newest change on.
        running: the number of the phase that runs.
        last: since when, in nanoseconds of the ring's clock.
    """

    __slots__ = (
        "_changes",
        "_last",
        "_running",
        "at",
        "counts",
        "ended",
        "lock",
        "micro_steps",
        "read",
        "skipped",
        "spent",
        "step",
        "steps",
        "tokens",
        "told",
    )

    def __init__(self, changes: Changes, running: int, last: int) -> None:
        self._changes = changes
        self._running, self._last = running, last
        self.read = changes.at
        """The change up to which the ring was read."""
        self.at = changes.at
        """The change with which the last step ended."""
        self.spent = [0] * len(PHASES)
        """Nanoseconds by phase number."""
        self.counts = [0] * len(PHASES)
        self.steps = self.micro_steps = self.tokens = self.skipped = 0
        """Of the steps that have ended in this process."""
        self.step = -1
        """Steps done, those before a resume included; -1 before training."""
        self.lock = threading.Lock()
        """Held by who reads the ring."""
        self.ended = self.told = self._so_far()
        """When the last step ended, and when the last one ended that was told."""

    def begin(self, step: int, tokens: int) -> None:
        """Training begins here, after `step` steps."""
        self.at = self._changes.at
        self.step, self.tokens = step, tokens
        self.ended = self.told = self._so_far()

    def settle(self) -> None:
        """Read the ring up to the end of the last step. The lock is held."""
        self._account(self.at)
        if self.ended.steps != self.steps:
            self.ended = self._so_far()

    def catch_up(self) -> None:
        """Read the whole ring."""
        with self.lock:
            self.settle()
            self._account(self._changes.at)

    def until(self, change: int, number: int) -> int:
        """Nanoseconds of phase `number` when `change` began."""
        with self.lock:
            self.settle()
            self._account(change)
        return self.spent[number]

    def _so_far(self) -> Ended:
        return Ended(
            self.steps,
            self.step,
            self.micro_steps,
            self.tokens,
            self.skipped,
            self.spent[:],
            self.counts[:],
        )

    def _account(self, newest: int) -> None:
        """Read the ring up to change `newest`: add the time between changes to what
        ran. The lock is held."""
        ring, spent, counts = self._changes.ring, self.spent, self.counts
        running, last = self._running, self._last
        for at in range(max(self.read, newest - RING) + 1, newest + 1):
            change = ring[at % RING]
            when = change >> SHIFT
            spent[running] += when - last
            last = when
            running = _FILED[change & PHASE]
            if not change & AGAIN:
                counts[running] += 1
        self.read, self._running, self._last = max(self.read, newest), running, last
