"""
A run as plain lines: one an event, and the child's own output behind `| `.

No escape sequence of anybody's reaches the terminal or the log that reads us.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from trainwatch.cli.headlines import Headlines
from trainwatch.cli.keyboard import Keyboard, is_terminal
from trainwatch.probes import events as ev
from trainwatch.runner import control, truth
from trainwatch.runner.console import CHUNK, Tail
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fold import fold
from trainwatch.runner.follow import Follower
from trainwatch.runner.lines import describe
from trainwatch.runner.state import EMPTY

POLL_S = 0.1
STEP_LINE_S = 1.0
TRUTH_S = 2.0
PROMPT_S = 0.3
"""A line without its end that stands so long is a question."""


def follow_plain(
    folder: Path, *, forward: bool, write: Callable[[str], object] | None = None
) -> int:
    """
    Print until the run is over; returns the child's exit code (128+n for a
    signal, 1 where nobody saw it).

    Args:
        folder: the run directory.
        forward: the child is started from this terminal: ctrl+c, SIGTERM, typed
            lines and its size are passed on, as in a bare shell.
        write: takes each line; prints it by default.
    """
    page = Page(write)
    keyboard = None
    if forward:
        _forward_signals(folder)
        if write is None and is_terminal(0):
            keyboard = Keyboard(folder, 0, page.line)
    try:
        return _follow(folder, page, keyboard)
    finally:
        if keyboard is not None:
            keyboard.show()


def _follow(folder: Path, page: Page, keyboard: Keyboard | None) -> int:
    follower, tail = Follower(folder), Tail(folder, keep=CHUNK)
    state = EMPTY
    steps = StepLines()
    prompt = Prompts()
    checked = heard = time.monotonic()
    began = time.time()
    headlines = Headlines()
    while True:
        moved = tail.read()
        for line in tail.lines:
            if line:
                page.output(line, keyboard.typed if keyboard else "")
        tail.lines.clear()
        events = follower.read()
        for event in events:
            state = fold(state, event)
            if isinstance(event.body, ev.NoticeGiven) and event.time >= began:
                page.bell()
            for line in steps.add(event, describe(event, state)):
                page.line(line)
        question = prompt.look(tail.growing(), tail.rewriting, time.monotonic())
        if question:
            if keyboard is not None:
                keyboard.hide_if_asked()
            page.prompt(question, stay=keyboard is not None and is_terminal(1))
        elif keyboard is not None and not prompt.asked:
            keyboard.show()
        answering = keyboard is not None and bool(prompt.asked)
        said = None if answering else headlines.look(state, time.time())
        if said:
            page.line(said)
        if events:
            heard = time.monotonic()
        if events or moved:
            continue
        if state.over:
            break
        if time.monotonic() - checked > TRUTH_S:
            checked = time.monotonic()
            try:
                facts = truth.correct(folder)
            except RefusedError:
                # Its directory was removed; what was opened before still tells.
                if checked - heard > truth.GONE_S:
                    raise
                continue
            if facts.over and not follower.behind:
                # Nobody could write the end down: a full disk.
                page.line(
                    f"run {facts.status}: {facts.detail or 'its log is not whole'}"
                )
                return _code(facts.exit_code)
        if keyboard is not None:
            keyboard.wait(POLL_S)
        else:
            time.sleep(POLL_S)
    last = tail.growing()
    if last and last != prompt.asked:
        page.output(last, "")
    return _code(state.run.exit_code)


def _code(code: int | None) -> int:
    """Nobody saw the exit code: not a success."""
    return 1 if code is None else code


class Page:
    """Whole lines, and a question that waits for its answer on the same one."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or _print
        self._asked = ""

    def line(self, text: str) -> None:
        if self._asked:
            self._asked = ""
            print(flush=True)
        self._write(text)

    def output(self, text: str, typed: str) -> None:
        """A line of the child; one that stands here already is not repeated."""
        asked, self._asked = self._asked, ""
        if asked and text == asked + typed:
            return
        self._write(f"| {text}")

    def bell(self) -> None:
        """For a person at a terminal."""
        if self._write is _print and is_terminal(1):
            print("\a", end="", flush=True)

    def prompt(self, text: str, *, stay: bool) -> None:
        """A line that has no end yet; `stay` leaves the cursor behind it."""
        if not stay:
            self._write(f"| {text}")
            return
        print(f"| {text}", end="", flush=True)
        self._asked = text


class Prompts:
    """Tells a question from output that is on its way and from a progress bar."""

    def __init__(self) -> None:
        self.asked = ""
        self._seen = ""
        self._since = 0.0

    def look(self, growing: str, rewriting: bool, mono: float) -> str:
        """The line without its end, once, when it has stood still; else empty."""
        if growing != self._seen:
            self._seen, self._since = growing, mono
            self.asked = ""
        waits = growing.strip() and not rewriting and not self.asked
        if not waits or mono - self._since < PROMPT_S:
            return ""
        self.asked = growing
        return growing


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
                control.ask(folder, "terminate", wait_s=5)
        except RefusedError as error:
            print(f"trainwatch: {error}", file=sys.stderr)

    def resized(number: int, frame: FrameType | None) -> None:
        try:
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
            control.ask(folder, "resize", wait_s=1, rows=rows, columns=columns)
        except (RefusedError, OSError):
            return  # Not a terminal any more, or nobody to tell.

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    if is_terminal(sys.stdout.fileno()):
        signal.signal(signal.SIGWINCH, resized)
