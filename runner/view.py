"""
What a front end gets: one frozen look at a run.

`Watch` follows a run directory; `Watch.read` folds what is new and returns a
`RunView`. It does the reading, so call it from a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trainwatch.runner import memo, truth
from trainwatch.runner.console import Tail
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fold import fold
from trainwatch.runner.follow import Follower
from trainwatch.runner.state import EMPTY, RunState, TriagedWarning
from trainwatch.runner.triage import marks, own
from trainwatch.runner.verdict import Verdict, judge


@dataclass(frozen=True)
class RunView:
    state: RunState = EMPTY
    verdict: Verdict = Verdict()
    console: tuple[str, ...] = ()
    """The last lines of the child's output, clean, oldest first. The last one
    may still be growing (a progress bar)."""
    console_lines: int = 0
    """Lines seen in all."""
    now: float = 0.0
    """Wall clock of this look."""
    supervised: bool = True
    """False when the run is not over and no supervisor answers for it."""
    caught_up: bool = True
    """False while an old log is still being read."""
    problems: tuple[str, ...] = ()
    """What cannot be used of the user's own file of rules, with its lines."""


NOTHING = RunView()


class Watch:
    """
    Follows one run.

    Args:
        folder: the run directory.
        clock: the wall clock.
    """

    TRUTH_S = 2.0
    CONSOLE_BYTES = 1 << 20

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._state, offset = memo.load(folder)
        self._follower = Follower(folder, offset)
        if self._follower.path.exists() and offset > self._follower.path.stat().st_size:
            self._state, self._follower.offset = EMPTY, 0
        self._tail = Tail(folder, from_end=self.CONSOLE_BYTES)
        self._shown: tuple[str, ...] = ()
        self._checked = 0.0
        self._heard = 0.0
        self._supervised = True
        self._own = own.OwnFile(own.own_file())
        self._marked: tuple[object, object, Mapping[str, TriagedWarning]] | None = None

    def read(self, budget_s: float = 0.05) -> RunView:
        """
        Fold what is new, for about `budget_s` at most, and look.

        Raises:
            OSError: the run directory cannot be read any more.
        """
        deadline = time.monotonic() + budget_s
        caught_up = False
        while time.monotonic() < deadline:
            batch = self._follower.read(1 << 17)
            if not batch:
                caught_up = self._follower.behind < 1 << 17
                break
            self._heard = time.monotonic()
            for event in batch:
                self._state = fold(self._state, event)
        changed = False
        while self._tail.read():
            changed = True
            if time.monotonic() > deadline:
                break
        if changed or not self._shown:
            self._shown = self._tail.shown()
        now, mono = self._clock(), time.monotonic()
        if caught_up and not self._state.over and mono - self._checked > self.TRUTH_S:
            self._checked = mono
            self._hold_against_truth(mono)
        mine = self._own.look()
        return RunView(
            state=self._as_marked(mine),
            verdict=judge(self._state, now),
            console=self._shown,
            console_lines=self._tail.seen,
            now=now,
            supervised=self._supervised or self._state.over,
            caught_up=caught_up,
            problems=mine.said(self._own.path),
        )

    def _hold_against_truth(self, mono: float) -> None:
        self._supervised = truth.supervised(self.folder)
        if self._supervised:
            return
        try:
            facts = truth.correct(self.folder)
        except RefusedError:
            # Its directory was removed; what was opened before still tells.
            if mono - self._heard > truth.GONE_S:
                raise
            self._supervised = True
        else:
            self._state = truth.with_manifest(self._state, facts)

    def _as_marked(self, mine: own.Own) -> RunState:
        """The state with its warnings as this user has marked them."""
        state = self._state
        if not mine.marks:
            return state
        known = self._marked
        if known is None or known[0] is not state.warnings or known[1] is not mine:
            marked = marks.apply(state.warnings, mine.marks)
            known = self._marked = (state.warnings, mine, marked)
        return replace(state, warnings=known[2])

    def close(self) -> None:
        self._follower.close()
        self._tail.close()


def look(folder: Path, clock: Callable[[], float] = time.time) -> RunView:
    """One look at a run, read to the end of its log, corrected if it is lost."""
    truth.correct(folder)
    watch = Watch(folder, clock)
    try:
        while True:
            view = watch.read(budget_s=1.0)
            if view.caught_up:
                return view
    finally:
        watch.close()
