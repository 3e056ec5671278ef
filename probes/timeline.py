"""
What runs now, and where a step's time goes.

Time belongs to the innermost phase: at each change the time since the last one is
added to the phase that ran. These sums only grow; a step is what they grew by
from its start to its end, and what no phase claims is `other`, so a step's phases
add up to its seconds.

There are two ways in. `go` and `back` are for the phases of a step, from hooks
that stand around one call and keep what was outside in their own frame; they are
short because they run a dozen times a step, right after computations that leave
no cache warm. `enter` and `leave` are for everything else: a `Span`, which may
carry a detail and counters and is told as `PhaseEnded`.

`custom` is a phase that the user named (`detail`). Each name has a number of its
own, and a step files it under the name; it stays open when a step ends inside it.

Only the owner thread counts: the main thread, or the one that trains.
"""

from __future__ import annotations

import os
import threading
import time
from threading import get_ident
from typing import Any, Callable, Dict, List, Optional, Tuple

from .events import PHASES, STEP_PHASES, PhaseEnded
from .flight import ENTRY, LOW, NUMBER, RING, RING_AT, FlightRecord
from .guard import meter
from .steps import BASE, Ended, between

_STEP = frozenset(STEP_PHASES) - {"other"}
_WORK = frozenset(("fetch", "forward", "reference", "backward", "clip", "optimizer"))
"""Phases inside of which the short ones of _PARTS are part of the work."""
_PARTS = frozenset(("load", "save", "data", "import", "log", "download"))
QUIET_S = 0.01
"""Shorter phases of _PARTS are counted out of a step, but no event is sent."""
FAST_S = 0.02
"""Steps shorter than this are told in sums of COALESCE_S."""
COALESCE_S = 0.5
FETCH, BACKWARD, OTHER = NUMBER["fetch"], NUMBER["backward"], NUMBER["other"]
CUSTOM = NUMBER["custom"]
OWN = len(PHASES)
"""Numbers from here on are those of the user's names."""


def _bits(phases: Any) -> int:
    return sum(1 << NUMBER[phase] for phase in phases)


_OUTSIDE = _bits(set(PHASES) - _STEP - {"custom"})
"""Phases inside of which nothing counts for a step."""


def _inside(phase: str) -> int:
    """The open phases that `phase` is part of: it does not begin inside them."""
    bits = _bits({phase})
    if phase != "compile":
        bits |= _bits({"backward"})
    if phase in _STEP:
        bits |= _OUTSIDE
    if phase in _PARTS:
        bits |= _bits(_WORK)
    return bits


INSIDE = [_inside(phase) for phase in PHASES]
"""Phase number -> bits of the open phases that it is part of."""


class Span:
    """One open phase that is not a call of a step's phase."""

    __slots__ = (
        "before",
        "began",
        "detail",
        "name",
        "number",
        "open",
        "outer",
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
        self,
        phase: str,
        number: int,
        began: float,
        detail: str,
        rows: int,
        total: int,
    ) -> None:
        self.phase = phase
        self.name = detail if phase == "custom" else phase
        self.number = number
        self.began = self.shown = self.part_began = began
        self.detail = detail
        self.rows = rows
        self.total = total
        self.told = bool(detail) or rows >= 0 or total >= 0
        """There is more to show than the phase."""
        self.outer = OTHER
        self.open = 0
        """The phases open around it, as bits."""
        self.before = 0.0
        """Seconds of this phase before this span."""
        self.part = ""
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

    __slots__ = (
        "_base",
        "_clock",
        "_counts",
        "_emit",
        "_ended",
        "_fetched",
        "_flushed",
        "_lock",
        "_mark",
        "_seconds",
        "_skipped",
        "_spans",
        "_step_began",
        "_tokens",
        "_told",
        "_top",
        "_total_micro_steps",
        "_unwinding",
        "failed",
        "marks",
        "micro_steps",
        "names",
        "open",
        "owner",
        "record",
        "silent",
        "step",
        "steps",
        "tell_own",
        "training",
        "wake",
    )

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
        self.owner = get_ident()
        """The thread that counts; 0 for none."""
        self.open = 0
        """The open phases, as bits by their numbers."""
        self.failed: Optional[Tuple[int, str, Optional[int]]] = None
        """Where the newest exception came from: its id, phase, step."""
        self.micro_steps = 0
        self.wake: Optional[Callable[[], None]] = None
        """Called once when the next phase is shown."""
        self.marks: Optional[Callable[[str], None]] = None
        """Told the phase that runs from now on, while a step is sampled."""
        self.tell_own: Callable[[PhaseEnded], None] = emit
        """Takes the end of a user's own phase outside the steps."""
        self.names = list(PHASES)
        """By number: the phases, then the user's own."""
        self._emit = emit
        self._clock = clock
        self._spans: List[Span] = []
        self._base = self._top = NUMBER["start"]
        """What runs where no phase is open, and what runs now, by number."""
        self._seconds = [0.0] * len(PHASES)
        self._counts = [0] * len(PHASES)
        self._mark = self._step_began = self._flushed = clock()
        self._tokens = 0
        self._skipped = 0
        self._total_micro_steps = 0
        self._ended = self._told = self._so_far()
        self._lock = threading.Lock()
        self._fetched: Optional[Tuple[float, float]] = None
        self._unwinding = 0

    # --- one call that is a phase of a step ---

    def go(self, number: int) -> None:
        """
        Phase `number` begins. The caller has seen that its thread is `owner` and
        that `open` has none of `INSIDE[number]`, and keeps `open` and `top`.
        """
        now = self._clock()
        self._seconds[self._top] += now - self._mark
        self._mark = now
        self._top = number
        self.open |= 1 << number
        self._unwinding = 0
        record = self.record
        if record is not None:
            record.sequence = n = record.sequence + 1
            record.pack(
                RING_AT + n % RING * ENTRY,
                n,
                now,
                self.step,
                self.micro_steps if self.training else -1,
                number,
                n & LOW,
            )
        if self.wake is not None:
            self._wake()
        if self.marks is not None:
            self.marks(PHASES[number])
        if meter.on:
            meter.seconds += self._clock() - now

    def back(self, number: int, outer: int, around: int) -> None:
        """Phase `number` ends; `outer` runs again, inside the phases `around`."""
        now = self._clock()
        if self._top != number and not self._close_inside(number, now):
            return
        seconds = now - self._mark
        self._seconds[self._top] += seconds
        self._counts[number] += 1
        self._mark = since = now
        self.open = around
        if not around:
            outer = self._base
            if self.training:
                since = self._step_began
            elif number == FETCH:
                self._fetched = (now - seconds, seconds)
        self._top = outer
        if number == BACKWARD:
            self.micro_steps += 1
        record = self.record
        if outer >= OWN:
            self._show_top(now)
        elif record is not None:
            record.sequence = n = record.sequence + 1
            record.pack(
                RING_AT + n % RING * ENTRY,
                n,
                since,
                self.step,
                self.micro_steps if self.training else -1,
                outer,
                n & LOW,
            )
        if self.marks is not None and outer < OWN:
            self.marks("other" if outer == BASE else PHASES[outer])
        if meter.on:
            meter.seconds += self._clock() - now

    @property
    def top(self) -> int:
        """The number of what runs now."""
        return self._top

    def fail(self, number: int, outer: int, around: int, error: BaseException) -> None:
        """Phase `number` ends with `error`."""
        if self.open >> number & 1:
            self._note(error, PHASES[number])
            micro_steps = self.micro_steps
            self.back(number, outer, around)
            self.micro_steps = micro_steps

    # --- spans ---

    def enter(
        self, phase: str, detail: str = "", *, rows: int = -1, total: int = -1
    ) -> Optional[Span]:
        """Begin `phase`; None when it is part of what already runs."""
        number = NUMBER[phase]
        if self.open & INSIDE[number] or get_ident() != self.owner:
            return None
        if number == CUSTOM:
            number = self._own(detail)
            if self.open >> number & 1:
                return None
        now = self._clock()
        span = Span(phase, number, now, detail, rows, total)
        span.outer, span.open = self._top, self.open
        span.before = self._seconds[number]
        self._spans.append(span)
        self.open |= 1 << number
        self._unwinding = 0
        self._turn(number, now)
        self._show(span)
        return span

    def leave(
        self,
        span: Optional[Span],
        error: Optional[BaseException] = None,
        *,
        nbytes: Optional[int] = None,
    ) -> None:
        """End `span` and whatever was left open inside it."""
        if span is None or self.silent or span not in self._spans:
            return
        now = self._clock()
        if error is not None:
            self._note(error, span.name)
        while self._spans[-1] is not span:
            self._close(now, error is not None, None)
        self._close(now, error is not None, nbytes)
        self._show_top(now)

    def part(self, span: Optional[Span], name: str) -> None:
        """Inside `span` (a generation), `name` begins."""
        if span is None or self.silent:
            return
        now = self._clock()
        _end_part(span, now)
        span.part, span.part_began = name, now
        span.shown = now
        self._show(span)

    def progress(
        self,
        *,
        tokens: Optional[int] = None,
        rows: Optional[int] = None,
        nbytes: Optional[int] = None,
    ) -> None:
        """Show how far the current phase is."""
        record = self.record
        if record is None or get_ident() != self.owner:
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
        step = self._steps_done()
        spans = self._spans
        if spans and spans[-1].number == self._top and spans[-1].part:
            return spans[-1].part, step
        return self.names[self._top], step

    def inside(self, phase: str) -> bool:
        """Is `phase` open?"""
        return bool(self.open >> NUMBER[phase] & 1)

    def close(self, phase: str) -> None:
        """End the innermost open span of `phase`, if there is one."""
        for span in reversed(self._spans):
            if span.phase == phase:
                self.leave(span)
                return

    # --- steps ---

    def begin_training(self, step: int) -> None:
        """Training begins after `step` steps; the calling thread owns it."""
        now = self._clock()
        self._turn(self._top, now)
        self.owner = get_ident()
        for span in self._spans:
            self._cut(span, now)
        self.training = True
        self.step = step
        self.micro_steps = 0
        self._step_began = self._flushed = now
        self._base = BASE
        self._ended = self._told = self._so_far()
        if self._fetched is not None:
            # The batch of the first step was fetched before training was seen.
            self._step_began, seconds = self._fetched
            self._told.seconds[FETCH] -= seconds
            self._told.counts[FETCH] -= 1
            self._told.seconds[BASE] -= now - self._step_began - seconds
        if not self.open:
            self._top = BASE
        self._show_top(now)

    def add_tokens(self, count: int) -> None:
        self._tokens += count

    def end_step(self, step: int, *, skipped: bool = False) -> None:
        """The step that makes it `step` steps done is over."""
        if self.silent or not self.training:
            return
        now = self._clock()
        if self._spans:
            for span in self._spans[::-1]:
                if span.phase != "custom":
                    self.leave(span)
        self._seconds[self._top] += now - self._mark
        self._mark = now
        slow = now - self._step_began >= FAST_S
        if slow:
            self.flush()
        self.step = step
        self.steps += 1
        self._total_micro_steps += self.micro_steps or 1
        self.micro_steps = 0
        self._skipped += skipped
        self._step_began = now
        self._ended = self._so_far()
        if slow or now - self._flushed >= COALESCE_S:
            self.flush()
        self._show_top(now)
        if meter.on:
            meter.seconds += self._clock() - now

    def end_training(self) -> None:
        """No step is under way any more."""
        self.flush()
        now = self._clock()
        self._turn(self._top, now)
        if self.training:
            self._tell_rest()
        self.training = False
        self._fetched = None
        self._base = OTHER
        if not self.open:
            self._top = OTHER
            self._show_top(now)

    def flush(self, stale_s: float = 0.0) -> None:
        """Tell the steps that ended and were not told, if the last one ended
        `stale_s` ago. Any thread may call it."""
        if self._ended is self._told:
            return
        now = self._clock()
        with self._lock:
            told, ended = self._told, self._ended
            if ended is told or now - self._step_began < stale_s:
                return
            self._told = ended
            self._flushed = now
        self._emit(between(told, ended, self.names))

    def end(self) -> None:
        """The interpreter ends."""
        if self.silent or self._base == NUMBER["end"]:
            return
        self.flush()
        now = self._clock()
        while self._spans:
            self._close(now, False, None)
        self._turn(self._top, now)
        self.training = False
        self.open = 0
        self._base = self._top = NUMBER["end"]
        self._show_top(now)

    def silence(self) -> None:
        """A forked child: the record and the steps are the parent's."""
        self.silent = True
        self.owner = 0
        self.record = None

    # --- inside ---

    def _so_far(self) -> Ended:
        return Ended(
            self.steps,
            self.step,
            self._total_micro_steps,
            self._tokens,
            self._skipped,
            self._seconds[:],
            self._counts[:],
        )

    def _turn(self, number: int, now: float) -> None:
        """Time up to `now` is the running phase's; `number` runs from there."""
        self._seconds[self._top] += now - self._mark
        self._mark = now
        self._top = number

    def _close_inside(self, number: int, now: float) -> bool:
        """End what was left open inside phase `number`; False when that phase
        itself was ended by an outer one."""
        if not self.open >> number & 1 or self.silent:
            return False
        while self._spans and self._spans[-1].open >> number & 1:
            self._close(now, False, None)
        return True

    def _note(self, error: BaseException, phase: str) -> None:
        # The outer phases that it leaves come right after, with nothing begun.
        if self._unwinding != id(error):
            self._unwinding = id(error)
            self.failed = (id(error), phase, self._steps_done())

    def _close(self, now: float, failed: bool, nbytes: Optional[int]) -> None:
        """End the innermost span."""
        span = self._spans.pop()
        phase, number = span.phase, span.number
        self._turn(span.outer if span.open else self._base, now)
        self.open = span.open
        seconds = self._seconds[number] - span.before
        if phase in _STEP:
            self._counts[number] += 1
            if number == BACKWARD and not failed:
                self.micro_steps += 1
            if not self.training and number == FETCH:
                self._fetched = (span.began, seconds)
            return
        if phase == "custom":
            self._close_own(span, seconds, failed)
            return
        _end_part(span, now)
        if phase == "import":
            # `LibraryImported` tells it.
            return
        if seconds < QUIET_S and phase in _PARTS and not failed and not nbytes:
            return
        self.flush()
        step = self._steps_done()
        for name, (began, took) in (span.parts or {}).items():
            self._emit(PhaseEnded(name, round(took, 6), began, step, failed=failed))
        self._emit(
            PhaseEnded(
                phase=phase,
                seconds=round(seconds, 6),
                began=span.began,
                step=step,
                detail=span.detail,
                bytes=nbytes,
                rows=span.total if span.total >= 0 and nbytes is None else None,
                failed=failed,
            )
        )

    # --- the user's own phases ---

    def _own(self, name: str) -> int:
        """The number of the user's `name`."""
        try:
            return self.names.index(name, OWN)
        except ValueError:
            self.names.append(name)
            self._seconds.append(0.0)
            self._counts.append(0)
            return len(self.names) - 1

    def _close_own(self, span: Span, seconds: float, failed: bool) -> None:
        if self.training and not span.open & _OUTSIDE:
            self._counts[span.number] += 1
            return
        # It is no part of a step.
        self._seconds[span.number] -= seconds
        self.tell_own(
            PhaseEnded(
                "custom",
                seconds,
                span.began,
                self._steps_done(),
                span.name,
                failed=failed,
            )
        )

    def _cut(self, span: Span, now: float) -> None:
        """Tell what ran before training; it goes on in the steps."""
        if span.phase == "custom":
            self._close_own(span, self._seconds[span.number] - span.before, False)
            span.began, span.before = now, self._seconds[span.number]

    def _tell_rest(self) -> None:
        """Tell what came after the last step."""
        ended = self._ended
        for number in range(OWN, len(self.names)):
            known = number < len(ended.seconds)
            seconds = self._seconds[number] - (ended.seconds[number] if known else 0.0)
            count = self._counts[number] - (ended.counts[number] if known else 0)
            if seconds > 0 or count:
                self.tell_own(
                    PhaseEnded(
                        "custom",
                        seconds,
                        self._step_began,
                        self.step,
                        self.names[number],
                        count=max(1, count),
                    )
                )
        for span in self._spans:
            span.before = self._seconds[span.number]

    # --- what is shown ---

    def _steps_done(self) -> Optional[int]:
        return None if self.step < 0 else self.step

    def _wake(self) -> None:
        wake, self.wake = self.wake, None
        if wake is not None:
            wake()

    def _show_top(self, now: float) -> None:
        """Write what runs again now."""
        if self._spans and self._spans[-1].number == self._top:
            span = self._spans[-1]
            if span.phase in _STEP or span.phase == "custom":
                span.shown = now
            self._show(span)
            return
        if not self.open:
            if not self.training and self._base == NUMBER["start"]:
                self._base = self._top = OTHER
            now = self._step_began if self.training else now
        self._write(self.names[self._top], now)
        if self.marks is not None:
            self.marks("other" if self._top == BASE else self.names[self._top])

    def _show(self, span: Span) -> None:
        self._wake()
        self._write(span.part or span.phase, span.shown)
        if span.told and self.record is not None:
            detail = span.detail.encode("utf-8", "replace")
            self.record.describe(detail, rows=span.rows, total=span.total)
        if self.marks is not None:
            self.marks(span.part or span.name)

    def _write(self, phase: str, since: float) -> None:
        if self.record is not None:
            micro_steps = self.micro_steps if self.training else -1
            self.record.phase(phase, since, self.step, micro_steps)


def _end_part(span: Span, now: float) -> None:
    if span.part:
        if span.parts is None:
            span.parts = {}
        began, seconds = span.parts.get(span.part, (span.part_began, 0.0))
        span.parts[span.part] = (began, seconds + now - span.part_began)
        span.part = ""


def open_record(folder: str) -> Optional[FlightRecord]:
    """This process's flight record in `folder`, or None when it cannot be."""
    try:
        return FlightRecord(os.path.join(folder, str(os.getpid())))
    except OSError:
        return None
