"""The headline among plain lines: one line when it changes to something to know."""

from __future__ import annotations

import time

from trainwatch.runner.state import RunState
from trainwatch.runner.text import plain
from trainwatch.runner.verdict import Verdict, judge

CALM = ("starting", "working")
LOOK_S = 1.0
HELD_S = 2.0
"""A verdict must stand so long to be told."""


class Headlines:
    """Tells `slow`, `waiting`, `stuck` and `failing`, and when that is over."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told = ""
        self._seen = ""
        self._since = 0.0

    def look(self, state: RunState, now: float) -> str | None:
        """The line to print at wall clock `now`, None for none."""
        if state.over or now < self._next:
            return None
        self._next = now + LOOK_S
        verdict = judge(state, now)
        name = "" if verdict.state in CALM else f"{verdict.state} {verdict.kind}"
        if name != self._seen:
            self._seen, self._since = name, now
        if name == self._told or now - self._since < HELD_S:
            return None
        self._told = name
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        return f"{clock} {plain(line(verdict))}"


def line(verdict: Verdict) -> str:
    """A verdict in one line: state, kind, both facts, what helps."""
    first, second = verdict.facts
    kind = f" ({verdict.kind})" if verdict.kind else ""
    sure = f", {verdict.evidence_status}" if verdict.evidence_status else ""
    do = f" | {verdict.do}" if verdict.do else ""
    return f"{verdict.state}{kind}{sure}: {first} | {second}{do}"
