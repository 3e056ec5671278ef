"""
What runs now, and where a step's time goes.

A change of phase is one number in the ring of the flight record. Every few steps
the ring is read: time belongs to the innermost phase, and is added to its sum. The
sums only grow; a step is what they grew by, and what no phase claims is `other`, so
a step's phases add up to its seconds.

There are two ways in. A `phase_call` stands around one call that is a phase of a
step, keeps what was outside in its own frame, and does itself what `go` and `back`
do while nobody is `alert`. `enter` and `leave` are for everything else: a `Span`,
which may carry a detail and counters and is told as `PhaseEnded`.

`custom` is a phase that the user named (`detail`). Each name has a number of its
own, and a step files it under the name; it stays open when a step ends inside it.

Only the owner thread counts: the main thread, or the one that trains.
"""

from __future__ import annotations

import os
import time
from threading import get_ident
from typing import Any, Callable, List, Optional, Tuple

from .events import PHASES, PhaseEnded
from .flight import AGAIN, NUMBER, PHASE, RING, SHIFT, Changes, FlightRecord
from .guard import meter
from .nesting import BACKWARD, CUSTOM, FETCH, INSIDE, OTHER, OUTSIDE, OWN, PARTS, STEP
from .spans import Span
from .steps import BASE, between
from .tally import Tally

QUIET_S = 0.01
"""Shorter phases of PARTS are counted out of a step, but no event is sent."""
FAST_S = 0.02
"""Steps shorter than this are told in sums of COALESCE_S."""
COALESCE_S = 0.5
HALF = RING // 2
"""Changes after which a step that ends reads the ring."""
FULL = RING - 64
"""Changes after which it is read wherever that may be."""
NANO = 1_000_000_000


class Timeline:
    """
    The phases of this process.

    Args:
        record: the flight record, or None where it could not be made.
        emit: takes event bodies.
        clock: monotonic nanoseconds.
    """

    __slots__ = (
        "_base",
        "_clock",
        "_emit",
        "_fetch_began",
        "_fetched",
        "_flushed",
        "_marks",
        "_spans",
        "_step_began",
        "_unwinding",
        "_wake",
        "alert",
        "changes",
        "failed",
        "micro_steps",
        "names",
        "open",
        "owner",
        "record",
        "silent",
        "step",
        "tally",
        "tell_own",
        "tokens",
        "top",
        "training",
    )

    def __init__(
        self,
        record: Optional[FlightRecord],
        emit: Callable[[Any], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.record = record
        self.changes: Changes = record or Changes(
            memoryview(bytearray(8 * RING)).cast("Q"), clock
        )
        self.owner = get_ident()
        """The thread that counts; 0 for none."""
        self.open = 0
        """The open phases, as bits by their numbers."""
        self.top = self._base = NUMBER["start"]
        """What runs now, and what runs where no phase is open, by number."""
        self.alert = True
        """There is more to do at a change than to record it."""
        self.step = -1
        """Steps done, or -1 before training."""
        self.training = False
        self.silent = False
        self.failed: Optional[Tuple[int, str, Optional[int]]] = None
        """Where the newest exception came from: its id, phase, step."""
        self.micro_steps = 0
        self.tell_own: Callable[[PhaseEnded], None] = emit
        """Takes the end of a user's own phase outside the steps."""
        self.names = list(PHASES)
        """By number: the phases, then the user's own."""
        self._emit = emit
        self._clock = clock
        self._spans: List[Span] = []
        self._wake: Optional[Callable[[], None]] = None
        self._marks: Optional[Callable[[str], None]] = None
        began = clock()
        self.tally = Tally(self.changes, self.top, began - self.changes.zero)
        self._step_began = self._flushed = began
        self.tokens = 0
        """Of all forwards that learn."""
        self._fetch_began = 0
        self._fetched: Optional[Tuple[int, int]] = None
        """When the last fetch before training began, and how long it took."""
        self._unwinding = (0, 0)

    @property
    def steps(self) -> int:
        """Steps that ended in this process."""
        return self.tally.steps

    # --- who listens ---

    @property
    def wake(self) -> Optional[Callable[[], None]]:
        """Called once when the next phase is shown."""
        return self._wake

    @wake.setter
    def wake(self, call: Optional[Callable[[], None]]) -> None:
        self._wake = call
        self._look_out()

    @property
    def marks(self) -> Optional[Callable[[str], None]]:
        """Told the phase that runs from now on, while a step is sampled."""
        return self._marks

    @marks.setter
    def marks(self, call: Optional[Callable[[str], None]]) -> None:
        self._marks = call
        self._look_out()

    def _look_out(self) -> None:
        self.alert = (
            not self.training
            or self.silent
            or meter.on
            or self._marks is not None
            or self._wake is not None
        )

    # --- one call that is a phase of a step ---

    def go(self, number: int) -> None:
        """
        Phase `number` begins. The caller has seen that its thread is `owner` and
        that `open` has none of `INSIDE[number]`, and keeps `open` and `top`.
        """
        self.open |= 1 << number
        self.top = number
        if not self.alert:
            self.changes.add(number)
            return
        began = self._clock()
        if number == FETCH and not self.training:
            self._fetch_began = began
        self._turn(number)
        self._called(PHASES[number])
        if meter.on:
            meter.seconds += (self._clock() - began) / NANO

    def back(self, number: int, outer: int, around: int) -> None:
        """Phase `number` ends; `outer` runs again, inside the phases `around`."""
        if self.top == number and outer < OWN and not self.alert:
            self.open, self.top = around, outer
            self.changes.add(outer | AGAIN)
            return
        began = self._clock()
        if self.silent or not self.open >> number & 1:
            return  # An outer one has ended it.
        while self._spans and self._spans[-1].open >> number & 1:
            self._close(began, False, None)
        self.open = around
        self._turn((outer if around else self._outermost()) | AGAIN)
        if number == FETCH and not self.training:
            self._fetched = (self._fetch_began, began - self._fetch_began)
        self._show_top()
        if meter.on:
            meter.seconds += (self._clock() - began) / NANO

    def fail(self, number: int, outer: int, around: int, error: BaseException) -> None:
        """Phase `number` ends with `error`."""
        if self.open >> number & 1:
            self._note(error, PHASES[number])
            self.back(number, outer, around)
            self._unwinding = (id(error), self.changes.at)

    def show_micro_steps(self) -> None:
        """Several backwards make up this step."""
        if self.record is not None:
            self.record.step(self.step, self.micro_steps)
        self.make_room()

    def make_room(self) -> None:
        """Read the ring before it is full."""
        if self.changes.at - self.tally.read > FULL:
            self._catch_up()

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
        span = Span(phase, number, self._clock(), detail, rows, total)
        span.outer, span.open = self.top, self.open
        self._spans.append(span)
        self.open |= 1 << number
        self._turn(number)
        span.at = self.changes.at
        if phase not in PARTS:
            self._catch_up()
        if span.told:
            self._show(span)
        else:
            self._called(span.name)
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
        self._show_top()
        if error is not None:
            self._unwinding = (id(error), self.changes.at)

    def part(self, span: Optional[Span], name: str) -> None:
        """Inside `span` (a generation), `name` begins."""
        if span is None or self.silent:
            return
        span.begin_part(name, self._clock())
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
        """Monotonic seconds."""
        return self._clock() / NANO

    def age(self, span: Span) -> float:
        """Seconds since `span` began."""
        return (self._clock() - span.began) / NANO

    def current(self) -> Tuple[str, Optional[int]]:
        """The phase that runs now and the steps done, None before training."""
        step = self._steps_done()
        spans = self._spans
        if spans and spans[-1].number == self.top and spans[-1].part:
            return spans[-1].part, step
        return self.names[self.top], step

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
        self.owner = get_ident()
        self._turn(self.top | AGAIN)
        self._catch_up()
        for span in self._spans:
            self._cut(span, now)
        self.training = True
        self.step = step
        self.micro_steps = 0
        self._step_began = self._flushed = now
        self._base = BASE
        tally = self.tally
        tally.begin(step, self.tokens)
        if self._fetched is not None:
            # The batch of the first step was fetched before training was seen.
            began, spent = self._fetched
            self._step_began = began
            tally.told.spent[FETCH] -= spent
            tally.told.counts[FETCH] -= 1
            tally.told.spent[BASE] -= now - began - spent
        if not self.open:
            self._turn(BASE)
        self._show_step()
        self._show_top()
        self._look_out()

    def end_step(self, step: int, *, skipped: bool = False) -> None:
        """
        The step that makes it `step` steps done is over. One that was skipped is
        told by itself, however fast it was.
        """
        if self.silent or not self.training:
            return
        now = self._clock()
        changes = self.changes
        slow = now - self._step_began >= FAST_S * NANO
        if slow or skipped:
            self.flush()
        if self._spans:
            for span in self._spans[::-1]:
                if span.phase != "custom":
                    self.leave(span)
        if not self.open:
            self.top = BASE
        changes.at = at = changes.at + 1
        changes.ring[at % RING] = now - changes.zero << SHIFT | AGAIN | self.top
        self._step_began = now
        self.step = step
        tally = self.tally
        tally.at, tally.step, tally.tokens = at, step, self.tokens
        tally.steps += 1
        tally.micro_steps += self.micro_steps or 1
        tally.skipped += skipped
        self.micro_steps = 0
        if self.record is not None:
            self.record.step(step, 0)
        if slow or skipped or now - self._flushed >= COALESCE_S * NANO:
            self.flush()
        elif at - tally.read > HALF:
            with tally.lock:
                tally.settle()
        if self.alert or self.open:
            self._show_top()
        if meter.on or self.alert:
            self._look_out()
        if meter.on:
            meter.seconds += (self._clock() - now) / NANO

    def end_training(self) -> None:
        """No step is under way any more."""
        self.flush()
        self._turn(self.top | AGAIN)
        self._catch_up()
        if self.training:
            self._tell_rest()
        self.training = False
        self._fetched = None
        self._base = OTHER
        if not self.open:
            self._turn(OTHER)
            self._show_top()
        self._look_out()

    def flush(self, stale_s: float = 0.0) -> None:
        """Tell the steps that ended and were not told, if the last one ended
        `stale_s` ago. Any thread may call it."""
        tally = self.tally
        if tally.steps == tally.told.steps:
            return
        now = self._clock()
        with tally.lock:
            told = tally.told
            if tally.steps == told.steps or now - self._step_began < stale_s * NANO:
                return
            tally.settle()
            tally.told = ended = tally.ended
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
        self.training = False
        self.open = 0
        self._base = NUMBER["end"]
        self._turn(self._base)
        self._show_top()

    def silence(self) -> None:
        """A forked child: the record and the steps are the parent's."""
        self.silent = True
        self.owner = 0
        self.record = None
        self._look_out()

    # --- inside ---

    def _catch_up(self) -> None:
        """Read the ring, and on the way what each open span began with."""
        for span in self._spans:
            if span.before < 0:
                span.before = self.tally.until(span.at, span.number)
        self.tally.catch_up()

    def _turn(self, change: int) -> None:
        """A phase runs from now on: its number, with AGAIN where it ran before."""
        self.top = change & PHASE
        if not self.silent:
            self.changes.add(change)

    def _outermost(self) -> int:
        """What runs where no phase is open."""
        if self._base == NUMBER["start"]:
            self._base = OTHER
        return self._base

    def _note(self, error: BaseException, phase: str) -> None:
        # The outer phases that it leaves come right after, with nothing begun.
        if self._unwinding != (id(error), self.changes.at):
            self.failed = (id(error), phase, self._steps_done())

    def _close(self, now: int, failed: bool, nbytes: Optional[int]) -> None:
        """End the innermost span."""
        span = self._spans[-1]
        phase, number = span.phase, span.number
        self.open = span.open
        self._turn((span.outer if span.open else self._outermost()) | AGAIN)
        loud = phase not in PARTS or failed or nbytes
        if not loud and now - span.began < QUIET_S * NANO:
            self._spans.pop()
            return
        self._catch_up()
        self._spans.pop()
        spent = self.tally.spent[number] - span.before
        if phase in STEP:
            if number == BACKWARD and not failed:
                self.micro_steps += 1
                self.show_micro_steps()
            if not self.training and number == FETCH:
                self._fetched = (span.began, spent)
            return
        if phase == "custom":
            self._close_own(span, spent, failed)
            return
        seconds = spent / NANO
        span.end_part(now)
        if phase == "import":
            # `LibraryImported` tells it.
            return
        if seconds < QUIET_S and not loud:
            return
        self.flush()
        step = self._steps_done()
        for name, (began, took) in (span.parts or {}).items():
            self._emit(
                PhaseEnded(
                    name, round(took / NANO, 6), began / NANO, step, failed=failed
                )
            )
        self._emit(
            PhaseEnded(
                phase=phase,
                seconds=round(seconds, 6),
                began=span.began / NANO,
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
            if len(self.names) > PHASE:
                return CUSTOM
            self.names.append(name)
            self.tally.spent.append(0)
            self.tally.counts.append(0)
            return len(self.names) - 1

    def _close_own(self, span: Span, spent: int, failed: bool) -> None:
        if self.training and not span.open & OUTSIDE:
            return
        # It is no part of a step.
        self.tally.spent[span.number] -= spent
        self.tally.counts[span.number] -= 1
        self.tell_own(
            PhaseEnded(
                "custom",
                spent / NANO,
                span.began / NANO,
                self._steps_done(),
                span.name,
                failed=failed,
            )
        )

    def _cut(self, span: Span, now: int) -> None:
        """Tell what ran before training; it goes on in the steps."""
        if span.phase == "custom":
            self._close_own(span, self.tally.spent[span.number] - span.before, False)
            self.tally.counts[span.number] += 1
            span.began, span.before = now, self.tally.spent[span.number]

    def _tell_rest(self) -> None:
        """Tell what came after the last step."""
        tally, told = self.tally, self.tally.told
        for number in range(OWN, len(self.names)):
            known = number < len(told.spent)
            spent = tally.spent[number] - (told.spent[number] if known else 0)
            count = tally.counts[number] - (told.counts[number] if known else 0)
            if spent > 0 or count:
                self.tell_own(
                    PhaseEnded(
                        "custom",
                        spent / NANO,
                        self._step_began / NANO,
                        self.step,
                        self.names[number],
                        count=max(1, count),
                    )
                )
        for span in self._spans:
            span.before = self.tally.spent[span.number]

    # --- what is shown ---

    def _steps_done(self) -> Optional[int]:
        return None if self.step < 0 else self.step

    def _called(self, phase: str) -> None:
        """Tell those who listen that `phase` runs now."""
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake()
        if self._marks is not None:
            self._marks(phase)

    def _show_top(self) -> None:
        """Show what runs again now."""
        if self._spans and self._spans[-1].number == self.top:
            span = self._spans[-1]
            if span.phase in STEP or span.phase == "custom":
                span.shown = self._clock()
            self._show(span)
        else:
            self._called("other" if self.top == BASE else self.names[self.top])

    def _show(self, span: Span) -> None:
        if span.part:
            self.changes.add(NUMBER[span.part] | AGAIN)
        if self.record is not None:
            detail = span.detail.encode("utf-8", "replace") if span.told else b""
            self.record.describe(
                detail, since=span.shown / NANO, rows=span.rows, total=span.total
            )
        self._called(span.part or span.name)

    def _show_step(self) -> None:
        if self.record is not None:
            self.record.step(self.step, self.micro_steps if self.training else -1)


def open_record(folder: str) -> Optional[FlightRecord]:
    """This process's flight record in `folder`, or None when it cannot be."""
    try:
        return FlightRecord(os.path.join(folder, str(os.getpid())))
    except OSError:
        return None
