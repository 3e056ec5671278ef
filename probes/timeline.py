"""
The phase stack: what runs now, and where a step's time goes.

`enter` and `leave` mark phases; time belongs to the innermost one. A phase of
STEP_PHASES that ends inside a step is added to that step; any other is told as
`PhaseEnded` and taken out of the step it interrupts. What no phase claims is
`other`, so a step's phases add up to its seconds.

`custom` is a phase that the user named (`detail`): in a step it is filed under
that name, and it stays open when a step ends inside it.

Only the owner thread counts: the main thread, or the one that trains.
"""

from __future__ import annotations

import os
import threading
import time
from threading import get_ident
from typing import Any, Callable, Dict, List, Optional, Tuple

from .events import STEP_PHASES, PhaseEnded
from .flight import FlightRecord
from .steps import Steps

_STEP = frozenset(STEP_PHASES) - {"other"}
_AROUND = _STEP | {"custom"}
"""Phases that those of a step may run in."""
_WORK = frozenset(("fetch", "forward", "reference", "backward", "clip", "optimizer"))
"""Phases inside of which the short ones of _PARTS are part of the work."""
_PARTS = frozenset(("load", "save", "data", "import", "log", "download"))
QUIET_S = 0.01
"""Shorter phases of _PARTS are counted out of a step, but no event is sent."""
FAST_S = 0.02
"""Steps shorter than this are told in sums of COALESCE_S."""
COALESCE_S = 0.1


class Span:
    """One open phase."""

    __slots__ = (
        "began",
        "detail",
        "exclusive",
        "in_step",
        "name",
        "part",
        "part_began",
        "parts",
        "phase",
        "rows",
        "shown",
        "told",
        "total",
    )

    def __init__(
        self, phase: str, began: float, detail: str, rows: int, total: int
    ) -> None:
        self.phase = phase
        self.name = detail if phase == "custom" else phase
        self.began = began
        self.shown = began
        self.exclusive = 0.0
        self.in_step = phase in _STEP
        self.detail = detail
        self.rows = rows
        self.total = total
        self.told = bool(detail) or rows >= 0 or total >= 0
        """There is more to show than the phase."""
        self.part = ""
        self.part_began = began
        self.parts: Optional[Dict[str, Tuple[float, float]]] = None
        """Part -> (when it began first, its seconds)."""


class Timeline:
    """
    The phases of this process.

    Args:
        record: the flight record, or None where it could not be made.
        emit: takes event bodies.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        record: Optional[FlightRecord],
        emit: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record = record
        self.step = -1
        """Steps done, or -1 before training."""
        self.steps = 0
        """Steps that ended in this process."""
        self.training = False
        self.silent = False
        self.failed: Optional[Tuple[int, str, Optional[int]]] = None
        """Where the newest exception came from: its id, phase, step."""
        self.micro_steps = 0
        self.wake: Optional[Callable[[], None]] = None
        """Called once when the next phase is shown."""
        self.marks: Optional[Callable[[str], None]] = None
        """Told the phase that runs from now on, while a step is sampled."""
        self.tell_own: Callable[[PhaseEnded], None] = emit
        """Takes the end of a user's own phase outside the steps."""
        self._emit = emit
        self._clock = clock
        self._owner = threading.get_ident()
        self._stack: List[Span] = []
        self._steps_spans = {name: Span(name, 0.0, "", -1, -1) for name in _STEP}
        """One for each phase of a step: no phase is ever open twice."""
        self._mark = clock()
        self._base = "start"
        self._phases: Dict[str, List[float]] = {}
        self._between = 0.0
        self._step_began = self._mark
        self._tokens = 0
        self._skipped = False
        self._pending: Optional[Steps] = None
        self._pending_began = 0.0
        self._lock = threading.Lock()
        self._fetch: Optional[Tuple[float, float]] = None
        self._unwinding = 0

    # --- phases ---

    def enter(
        self, phase: str, detail: str = "", *, rows: int = -1, total: int = -1
    ) -> Optional[Span]:
        """Begin `phase`; None when it is part of what already runs."""
        if self.silent or get_ident() != self._owner:
            return None
        stack = self._stack
        for outer in stack:
            name = outer.phase
            if (
                (name == phase and (name != "custom" or outer.name == detail))
                or (name == "backward" and phase != "compile")
                or (phase in _STEP and name not in _AROUND)
                or (phase in _PARTS and name in _WORK)
            ):
                return None
        now = self._clock()
        if stack:
            stack[-1].exclusive += now - self._mark
        self._mark = now
        self._unwinding = 0
        span = self._steps_spans.get(phase)
        if span is None:
            span = Span(phase, now, detail, rows, total)
        else:
            span.began = span.shown = now
            span.exclusive = 0.0
        stack.append(span)
        self._show(span, now)
        return span

    def leave(
        self,
        span: Optional[Span],
        error: Optional[BaseException] = None,
        *,
        nbytes: Optional[int] = None,
    ) -> None:
        """End `span` and whatever was left open inside it."""
        stack = self._stack
        if span is None or self.silent:
            return
        if (
            error is None
            and span.in_step
            and self.training
            and stack
            and stack[-1] is span
        ):
            # The usual case, short: a phase of a step ends innermost.
            now = self._clock()
            stack.pop()
            seconds = span.exclusive + now - self._mark
            self._mark = now
            pair = self._phases.get(span.phase)
            if pair is None:
                self._phases[span.phase] = [1, seconds]
            else:
                pair[0] += 1
                pair[1] += seconds
            self._show_outer(now)
            return
        if span not in stack:
            return
        now = self._clock()
        if error is not None:
            self._note(error, span.name)
        while True:
            top = self._stack.pop()
            top.exclusive += now - self._mark
            self._mark = now
            self._close(
                top,
                now,
                error is not None,
                nbytes if top is span else None,
            )
            if top is span:
                break
        self._show_outer(now)

    def part(self, span: Optional[Span], name: str) -> None:
        """Inside `span` (a generation), `name` begins."""
        if span is None or self.silent:
            return
        now = self._clock()
        self._end_part(span, now)
        span.part, span.part_began = name, now
        span.shown = now
        self._show(span, now)

    def progress(
        self,
        *,
        tokens: Optional[int] = None,
        rows: Optional[int] = None,
        nbytes: Optional[int] = None,
    ) -> None:
        """Show how far the current phase is."""
        record = self.record
        if record is None or self.silent or threading.get_ident() != self._owner:
            return
        if tokens is not None:
            record.tokens(tokens)
        if rows is not None:
            record.rows(rows)
        if nbytes is not None:
            record.bytes(nbytes)

    def now(self) -> float:
        return self._clock()

    def current(self) -> Tuple[str, Optional[int]]:
        """The phase that runs now and the steps done, None before training."""
        stack = self._stack
        name = (stack[-1].part or stack[-1].name) if stack else self._name()
        return name, None if self.step < 0 else self.step

    def inside(self, phase: str) -> bool:
        """Is `phase` somewhere on the stack?"""
        return any(span.phase == phase for span in self._stack)

    def close(self, phase: str) -> None:
        """End the innermost open `phase`, if there is one."""
        for span in reversed(self._stack):
            if span.phase == phase:
                self.leave(span)
                return

    # --- steps ---

    def begin_training(self, step: int) -> None:
        """Training begins after `step` steps; the calling thread owns it."""
        now = self._clock()
        self._owner = threading.get_ident()
        self._cut(now)
        self.training = True
        self.step = step
        self._phases = {}
        self._between = 0.0
        self.micro_steps = 0
        self._tokens = 0
        self._step_began = now
        if self._fetch is not None:
            # The batch of the first step was fetched before training was seen.
            began, seconds = self._fetch
            self._step_began = began
            self._phases["fetch"] = [1, seconds]
        if self._stack:
            self._show(self._stack[-1], now)
        else:
            self._show_base(now)

    def add_tokens(self, count: int) -> None:
        self._tokens += count

    def end_micro_step(self) -> None:
        self.micro_steps += 1

    def end_step(self, step: int, *, skipped: bool = False) -> None:
        """The step that makes it `step` steps done is over."""
        if self.silent or not self.training:
            return
        now = self._clock()
        if self._stack:
            for span in self._stack[::-1]:
                if span.phase != "custom":
                    self.leave(span)
            self._cut(now)
        phases, self._phases = self._phases, {}
        claimed = 0.0
        for pair in phases.values():
            claimed += pair[1]
        seconds = max(now - self._step_began - self._between, claimed)
        phases["other"] = [1, seconds - claimed]
        self.step = step
        self.steps += 1
        micro_steps, self.micro_steps = self.micro_steps, 0
        tokens, self._tokens = self._tokens, 0
        self._between = 0.0
        self._step_began = now
        self._show_outer(now)
        if seconds >= FAST_S:
            self.flush()
            self._emit(
                Steps(step, micro_steps, seconds, phases, tokens, skipped).body()
            )
            return
        with self._lock:
            pending = self._pending
            if pending is None:
                self._pending = Steps(
                    step, micro_steps, seconds, phases, tokens, skipped
                )
                self._pending_began = now
                return
            pending.add(step, micro_steps, seconds, phases, tokens, skipped)
        if now - self._pending_began >= COALESCE_S:
            self.flush()

    def end_training(self) -> None:
        """No step is under way any more."""
        self.flush()
        for name, (count, seconds) in self._phases.items():
            if name not in _STEP:
                self.tell_own(
                    PhaseEnded(
                        "custom",
                        seconds,
                        self._step_began,
                        self.step,
                        name,
                        count=int(count),
                    )
                )
        self._phases = {}
        self.training = False
        self._fetch = None
        self._base = "other"
        if not self._stack:
            self._show_base(self._clock())

    def flush(self, stale_s: float = 0.0) -> None:
        """Tell the fast steps summed so far, if they wait for `stale_s`."""
        if self._pending is None:
            return
        with self._lock:
            pending = self._pending
            if pending is None or self._clock() - self._pending_began < stale_s:
                return
            self._pending = None
        self._emit(pending.body())

    def end(self) -> None:
        """The interpreter ends."""
        if self.silent or self._base == "end":
            return
        self.flush()
        now = self._clock()
        while self._stack:
            self.leave(self._stack[-1])
        self.training = False
        self._base = "end"
        self._show_base(now)

    def silence(self) -> None:
        """A forked child: the record and the steps are the parent's."""
        self.silent = True
        self.record = None

    # --- inside ---

    def _note(self, error: BaseException, phase: str) -> None:
        # The outer phases that it leaves come right after, with nothing begun.
        if self._unwinding != id(error):
            self._unwinding = id(error)
            self.failed = (id(error), phase, None if self.step < 0 else self.step)

    def _cut(self, now: float) -> None:
        """Tell the user's own phases so far; they go on in what comes next."""
        stack = self._stack
        if not stack:
            return
        stack[-1].exclusive += now - self._mark
        self._mark = now
        for span in stack:
            if span.phase == "custom":
                self._close(span, now, False, None)
                span.began, span.exclusive = now, 0.0

    def _close(
        self, span: Span, now: float, failed: bool, nbytes: Optional[int]
    ) -> None:
        phase = span.phase
        own = phase == "custom"
        if phase in _STEP or (
            own and self.training and all(s.phase in _AROUND for s in self._stack)
        ):
            if self.training:
                pair = self._phases.setdefault(span.name, [0, 0.0])
                pair[0] += 1
                pair[1] += span.exclusive
            elif phase == "fetch":
                self._fetch = (span.began, span.exclusive)
            return
        self._between += span.exclusive
        self._end_part(span, now)
        if phase == "import":
            # `LibraryImported` tells it.
            return
        if span.exclusive < QUIET_S and phase in _PARTS and not failed and not nbytes:
            return
        step = None if self.step < 0 else self.step
        if own:
            self.tell_own(
                PhaseEnded(
                    phase, span.exclusive, span.began, step, span.name, failed=failed
                )
            )
            return
        self.flush()
        for name, (began, seconds) in (span.parts or {}).items():
            self._emit(PhaseEnded(name, round(seconds, 6), began, step, failed=failed))
        self._emit(
            PhaseEnded(
                phase=phase,
                seconds=round(span.exclusive, 6),
                began=span.began,
                step=step,
                detail=span.detail,
                bytes=nbytes,
                rows=span.total if span.total >= 0 and nbytes is None else None,
                failed=failed,
            )
        )

    def _end_part(self, span: Span, now: float) -> None:
        if span.part:
            if span.parts is None:
                span.parts = {}
            began, seconds = span.parts.get(span.part, (span.part_began, 0.0))
            span.parts[span.part] = (began, seconds + now - span.part_began)
            span.part = ""

    def _show_outer(self, now: float) -> None:
        """What runs again after a phase inside it has ended."""
        if self._stack:
            outer = self._stack[-1]
            if outer.phase in _STEP:
                outer.shown = now
            self._show(outer, now)
        else:
            self._base = "other"
            self._show_base(now)

    def _name(self) -> str:
        return "step" if self.training else self._base

    def _show(self, span: Span, now: float) -> None:
        if self.wake is not None:
            wake, self.wake = self.wake, None
            wake()
        record = self.record
        if record is not None:
            record.phase(
                span.part or span.phase,
                span.shown,
                len(self._stack),
                self.step,
                self.micro_steps if self.training else -1,
            )
            if span.told:
                detail = span.detail.encode("utf-8", "replace")
                record.describe(detail, rows=span.rows, total=span.total)
        if self.marks is not None:
            self.marks(span.part or span.name)

    def _show_base(self, now: float) -> None:
        record = self.record
        if record is not None:
            record.phase(
                self._name(),
                self._step_began if self.training else now,
                0,
                self.step,
                self.micro_steps if self.training else -1,
            )
        if self.marks is not None:
            self.marks("other")


def open_record(folder: str) -> Optional[FlightRecord]:
    """This process's flight record in `folder`, or None when it cannot be."""
    try:
        return FlightRecord(os.path.join(folder, str(os.getpid())))
    except OSError:
        return None
