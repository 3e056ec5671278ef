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
    step_line_at = 0.0
    step_pending: str | None = None
    checked = time.monotonic()
    shown = 0
    growing = ""
    while True:
        moved = tail.read()
        lines = tail.shown()
        shown_now = tail.seen
        for line in list(tail.lines)[
            len(tail.lines) - min(shown_now - shown, len(tail.lines)) :
        ]:
            if line:
                write(f"| {line}")
        shown = shown_now
        growing = lines[-1] if len(lines) > len(tail.lines) else ""
        events = follower.read()
        for event in events:
            state = fold(state, event)
            line = describe(event, state)
            if line is None:
                continue
            if isinstance(event.body, ev.StepEnded):
                if event.time - step_line_at < STEP_LINE_S:
                    step_pending = line
                    continue
                step_line_at = event.time
            step_pending = None
            write(line)
        if state.over and not events and not moved:
            break
        if not events and not moved:
            if time.monotonic() - checked > TRUTH_S:
                checked = time.monotonic()
                truth.correct(folder)
            time.sleep(POLL_S)
    if growing:
        write(f"| {growing}")
    if step_pending:
        write(step_pending)
    code = state.run.exit_code
    return 1 if code is None else code


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
