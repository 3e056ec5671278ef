"""
A function whose every call is a phase of a step.

One frame stands around the call, and what was outside is kept in it. This runs a
dozen times a step, right after computations that leave no cache warm: every object
that is touched, and every frame, costs.
"""

from __future__ import annotations

import functools
from threading import get_ident
from typing import Any, Callable, List, Optional, Tuple

from .flight import AGAIN, NUMBER, RING, SHIFT
from .guard import switch_off
from .nesting import BACKWARD, INSIDE, OWN
from .timeline import Timeline

NONE = -1
"""No phase: the call is left alone."""


def phase_call(
    timeline: Timeline,
    phase: str,
    function: Callable[..., Any],
    before: Optional[Callable[[Any, Any], int]] = None,
    unless: Optional[Callable[[], bool]] = None,
    always: bool = False,
) -> Callable[..., Any]:
    """
    `function`, each call of which is `phase` of `timeline`.

    A call inside a phase that it is part of, or on another thread, is left alone,
    and so is one while `unless()` is true (a compiler is reading). `before(args,
    kwargs)` runs ahead, unless the phase itself or a backward is open, and says the
    number of the phase, or NONE; where it is not needed `always`, only while the
    timeline is alert or another phase is open. Arguments, result and exceptions pass
    through untouched; the first error of our own switches the phases off.
    """
    if getattr(function, "_trainwatch", False):
        return function
    usual = NUMBER[phase]
    inside = INSIDE[usual] if before is None else 1 << usual | 1 << BACKWARD
    changes = timeline.changes
    ring, zero, clock = changes.ring, changes.zero, changes.clock

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if unless is not None and unless():
            return function(*args, **kwargs)
        if timeline.open & inside or get_ident() != timeline.owner:
            return function(*args, **kwargs)
        number = usual
        outer = around = 0
        try:
            around = timeline.open
            if before is not None and (always or around or timeline.alert):
                number = before(args, kwargs)
                around = timeline.open
            if number < 0 or around & INSIDE[number]:
                number = NONE
            else:
                outer = timeline.top
                if timeline.alert:
                    timeline.go(number)
                else:
                    timeline.open = around | 1 << number
                    timeline.top = number
                    changes.at = at = changes.at + 1
                    ring[at % RING] = clock() - zero << SHIFT | number
        except Exception as failure:
            give_up(timeline, failure)
            number = NONE
        if number < 0:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            end(error, number, outer, around)
            raise
        try:
            if timeline.alert or timeline.top != number or outer >= OWN:
                timeline.back(number, outer, around)
            else:
                timeline.open = around
                timeline.top = outer
                changes.at = at = changes.at + 1
                ring[at % RING] = clock() - zero << SHIFT | AGAIN | outer
            if number == BACKWARD:
                timeline.micro_steps += 1
                if timeline.micro_steps > 1:
                    timeline.show_micro_steps()
        except Exception as failure:
            give_up(timeline, failure)
        return result

    def end(error: BaseException, number: int, outer: int, around: int) -> None:
        try:
            if isinstance(error, StopIteration):
                timeline.back(number, outer, around)
            else:
                timeline.fail(number, outer, around, error)
        except Exception as failure:
            give_up(timeline, failure)

    call._trainwatch = True  # type: ignore[attr-defined]
    return call


def wrap_phase(
    timeline: Timeline,
    phase: str,
    owner: Any,
    name: str,
    before: Optional[Callable[[Any, Any], int]] = None,
    unless: Optional[Callable[[], bool]] = None,
) -> bool:
    """Put `phase_call` on `owner.name`; False where there is no such thing."""
    function = getattr(owner, name, None)
    if function is None:
        return False
    setattr(owner, name, phase_call(timeline, phase, function, before, unless))
    return True


class Inner:
    """
    Hooks that have nothing to tell while a trainer has the same phase around them.

    They rest then: even a call that is left alone costs microseconds.
    """

    def __init__(self) -> None:
        self._hooks: List[Tuple[Any, str, Any]] = []

    def add(self, owner: Any, name: str) -> None:
        self._hooks.append((owner, name, getattr(owner, name)))

    def rest(self) -> None:
        for owner, name, ours in self._hooks:
            if getattr(owner, name) is ours:
                setattr(owner, name, ours.__wrapped__)

    def work(self) -> None:
        for owner, name, ours in self._hooks:
            if getattr(owner, name) is ours.__wrapped__:
                setattr(owner, name, ours)


def give_up(timeline: Timeline, failure: Exception) -> None:
    """No phase is told any more: better none than wrong ones."""
    timeline.owner = 0
    switch_off("timeline", failure)
