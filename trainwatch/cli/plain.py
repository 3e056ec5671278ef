"""
A run as plain lines: one an event, and the child's own output behind `| `.

No escape sequence of anybody's reaches the terminal or the log that reads us.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from trainwatch.probes import events as ev
from trainwatch.runner import control, truth
from trainwatch.runner.console import Tail
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fold import fold
from trainwatch.runner.follow import Follower
from trainwatch.runner.lines import describe
from trainwatch.runner.state import EMPTY

POLL_S = 0.1
STEP_LINE_S = 1.0
TRUTH_S = 2.0


def follow_plain(
    folder: Path, *, forward: bool, write: Callable[[str], object] | None = None
) -> int:
    """
    Print until the run is over; returns the child's exit code (128+n for a
    signal, 1 where nobody saw it).

    Args:
        folder: the run directory.
        forward: ctrl+c and SIGTERM are passed to the child, as in a bare shell.
    """
    write = write or _print
    if forward:
        _forward_signals(folder)
    follower, tail = Follower(folder), Tail(folder)
    state = EMPTY
    steps = StepLines()
    checked = time.monotonic()
    printed = 0
    while True:
        moved = tail.read()
        fresh = min(tail.seen - printed, len(tail.lines))
        printed = tail.seen
        for line in list(tail.lines)[len(tail.lines) - fresh :]:
            if line:
                write(f"| {line}")
        events = follower.read()
        for event in events:
            state = fold(state, event)
            for line in steps.add(event, describe(event, state)):
                write(line)
        if events or moved:
            continue
        if state.over:
            break
        if time.monotonic() - checked > TRUTH_S:
            checked = time.monotonic()
            facts = truth.correct(folder)
            if facts.over and not follower.behind:
                # Nobody could write the end down: a full disk.
                write(f"run {facts.status}: {facts.detail or 'its log is not whole'}")
                return _code(facts.exit_code)
        time.sleep(POLL_S)
    if tail.growing():
        write(f"| {tail.growing()}")
    return _code(state.run.exit_code)


def _code(code: int | None) -> int:
    """Nobody saw the exit code: not a success."""
    return 1 if code is None else code


class StepLines:
    """Passes lines on, those of steps at most one a second and always the last."""

    def __init__(self) -> None:
        self._at = 0.0
        self._held: str | None = None

    def add(self, event: ev.Event, line: str | None) -> list[str]:
        if isinstance(event.body, ev.StepEnded):
            if event.time - self._at < STEP_LINE_S:
                self._held = line
                return []
            self._at = event.time
            self._held = None
            return [line] if line else []
        if isinstance(event.body, (ev.TrainingEnded, ev.RunEnded)) and self._held:
            held, self._held = self._held, None
            return [held, line] if line else [held]
        return [line] if line else []


def _print(line: str) -> None:
    print(line, flush=True)


def _forward_signals(folder: Path) -> None:
    def interrupted(number: int, frame: FrameType | None) -> None:
        try:
            if number == signal.SIGINT:
                control.ask(folder, "interrupt", wait_s=5)
            else:
                next(control.progress(folder, "abort", how="now"), None)
        except RefusedError as error:
            print(f"trainwatch: {error}", file=sys.stderr)

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
