"""
Tells the phases that a user named. Outside the steps short ones are summed, so a
log of a million does not hold a million lines.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any, Dict, List, Optional

from .events import PHASES, PhaseEnded
from .guard import guarded
from .spans import Span
from .timeline import Timeline

NAME_SIZE = 40
MAX_NAMES = 64
"""Names of one process; what comes after them is told as `custom`."""
LONG_S = 0.5
"""A phase this long is told by itself."""
SUM_S = 1.0


class Own:
    """The user's own phases in this process."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._timeline: Timeline = process.timeline
        self._timeline.tell_own = self.add
        self._names: Dict[str, str] = {}
        self._sums: Dict[str, List[Any]] = {}
        """Name -> the first one, the seconds and the number of all."""
        self._lock = threading.Lock()
        self._told = time.monotonic()
        self._ending = False
        process.ticks.append(self.tick)
        process.endings.append(self.end)

    @guarded("custom")
    def began(self, name: str) -> Optional[Span]:
        shown = self._names.get(name)
        if shown is None:
            shown = self._name(name)
        return self._timeline.enter("custom", shown)

    @guarded("custom")
    def ended(self, span: Optional[Span], error: Optional[BaseException]) -> None:
        if span is not None:
            self._timeline.leave(span, error)

    def add(self, body: PhaseEnded) -> None:
        """`body` ended outside the steps."""
        if body.seconds >= LONG_S or body.failed or self._ending:
            self._tell(body)
            return
        with self._lock:
            known = self._sums.get(body.detail)
            if known is None:
                self._sums[body.detail] = [body, body.seconds, body.count]
            else:
                known[1] += body.seconds
                known[2] += body.count

    def tick(self, now: float) -> None:
        if now - self._told >= SUM_S:
            self.flush()

    def flush(self) -> None:
        """Tell the sums so far."""
        self._told = time.monotonic()
        with self._lock:
            sums, self._sums = self._sums, {}
        for body, seconds, count in sums.values():
            self._tell(replace(body, seconds=seconds, count=count))

    def end(self) -> None:
        """The interpreter ends: nothing waits for a sum any more."""
        self._ending = True
        self.flush()

    def _tell(self, body: PhaseEnded) -> None:
        self._process.emit(replace(body, seconds=round(body.seconds, 6)))

    def _name(self, name: str) -> str:
        shown = "".join(c for c in name[: 4 * NAME_SIZE] if c.isprintable()).strip()
        shown = shown[:NAME_SIZE].rstrip()
        if shown in PHASES:
            # Its seconds are not those of the phase that is called so.
            shown = "user:" + shown
        if len(self._names) >= MAX_NAMES:
            return "custom"
        self._names[name] = shown = shown or "custom"
        return shown
