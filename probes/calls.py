"""
A function whose every call is a phase of a step.

One frame stands around the call, and what was outside is kept in it: this runs a
dozen times a step, where every object that is touched costs.
"""

from __future__ import annotations

import functools
from threading import get_ident
from typing import Any, Callable, Optional

from .flight import NUMBER
from .guard import switch_off
from .timeline import BACKWARD, INSIDE, Timeline

NONE = -1
"""No phase: the call is left alone."""


def phase_call(
    timeline: Timeline,
    phase: str,
    function: Callable[..., Any],
    before: Optional[Callable[[Any, Any], int]] = None,
    unless: Optional[Callable[[], bool]] = None,
) -> Callable[..., Any]:
    """
    `function`, each call of which is `phase` of `timeline`.

    A call inside a phase that it is part of, or on another thread, is left alone,
    and so is one while `unless()` is true (a compiler is reading). `before(args,
    kwargs)` runs ahead, unless the phase itself or a backward is open, and says the
    number of the phase, or NONE.
    Arguments, result and exceptions pass through untouched; the first error of our
    own switches the phases off.
    """
    if getattr(function, "_trainwatch", False):
        return function
    usual = NUMBER[phase]
    inside = INSIDE[usual] if before is None else 1 << usual | 1 << BACKWARD

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if unless is not None and unless():
            return function(*args, **kwargs)
        if timeline.open & inside or get_ident() != timeline.owner:
            return function(*args, **kwargs)
        number = usual
        outer = around = 0
        try:
            if before is not None:
                number = before(args, kwargs)
            around = timeline.open
            if number >= 0 and around & INSIDE[number]:
                number = NONE
            if number >= 0:
                outer = timeline.top
                timeline.go(number)
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
            timeline.back(number, outer, around)
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


def give_up(timeline: Timeline, failure: Exception) -> None:
    """No phase is told any more: better none than wrong ones."""
    timeline.owner = 0
    switch_off("timeline", failure)
