"""
Fail open: an error in a probe switches that probe off and is told once.

The user's code never sees it, unless it is the user's own: a signal handler runs
between any two lines of the main thread, and what it raises there is the program's.
The guard also measures what the hooks cost.
"""

from __future__ import annotations

import functools
from time import perf_counter as clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Set, Tuple, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


class Meter:
    """What the hooks of this process cost while it is on."""

    on = True
    calls = 0
    seconds = 0.0
    errors = 0


meter = Meter()
_off: Set[str] = set()
_tell: Optional[Callable[[str, str], None]] = None


def tell_to(report: Optional[Callable[[str, str], None]]) -> None:
    """Failures go to `report(probe, error)` from now on, and all is on again."""
    global _tell
    _tell = report
    _off.clear()


def switch_off(probe: str, error: BaseException) -> None:
    """
    Switch `probe` off because of `error`.

    Raises:
        BaseException: `error` itself, where a signal handler raised it.
    """
    meter.errors += 1
    if probe not in _off:
        _off.add(probe)
        if _tell is not None:
            try:
                _tell(probe, "%s: %s" % (type(error).__name__, error))
            except Exception:
                meter.errors += 1
    if by_handler(error):
        raise error


def by_handler(error: BaseException) -> bool:
    """Did a signal handler of the program raise `error`?"""
    import signal

    codes = []
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        while hasattr(handler, "func"):  # A partial.
            handler = handler.func
        if callable(handler) and not hasattr(handler, "__code__"):
            handler = getattr(handler, "__func__", type(handler).__call__)
        codes.append(getattr(handler, "__code__", None))
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def is_off(probe: str) -> bool:
    return probe in _off


def guarded(probe: str) -> Callable[[F], F]:
    """
    A function that returns None instead of raising, and from its first error on.

    Only `Exception` stops here: a KeyboardInterrupt belongs to the user.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if probe in _off:
                return None
            began = clock() if meter.on else 0.0
            try:
                return function(*args, **kwargs)
            except Exception as error:
                switch_off(probe, error)
                return None
            finally:
                if began:
                    meter.seconds += clock() - began
                    meter.calls += 1

        call._trainwatch_raw = probe, function  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def _raw(hook: Callable[..., Any]) -> Tuple[str, Callable[..., Any]]:
    """The probe of a guarded function or method, and the function without guard."""
    probe, function = getattr(hook, "_trainwatch_raw", ("hook", None))
    if function is None:
        return probe, hook
    owner = getattr(hook, "__self__", None)
    return probe, function if owner is None else function.__get__(owner)


def around(
    function: Callable[..., Any],
    before: Callable[[Any, Any], Any],
    after: Callable[[Any, Any, Optional[BaseException]], None],
    unless: Callable[[], bool] = bool,
) -> Callable[..., Any]:
    """
    `function` with `before(args, kwargs)` and `after(token, result, error)`.

    `before` returns a token, or None for "not this call". Both are guarded here,
    in one frame less than by themselves: right after a long computation every
    frame costs microseconds, because no cache holds it. Arguments, result and
    exceptions pass through untouched. While `unless()` is true (a compiler is
    reading), there is nothing around it.
    """
    if getattr(function, "_trainwatch", False):
        return function
    probe, before = _raw(before)
    _, after = _raw(after)

    def leave(token: Any, result: Any, error: Optional[BaseException]) -> None:
        began = clock() if meter.on else 0.0
        try:
            after(token, result, error)
        except Exception as failure:
            switch_off(probe, failure)
        if began:
            meter.seconds += clock() - began
            meter.calls += 1

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if probe in _off or unless():
            return function(*args, **kwargs)
        began = clock() if meter.on else 0.0
        try:
            token = before(args, kwargs)
        except Exception as failure:
            switch_off(probe, failure)
            token = None
        if began:
            meter.seconds += clock() - began
            meter.calls += 1
        if token is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave(token, None, error)
            raise
        leave(token, result, None)
        return result

    wrapped._trainwatch = True  # type: ignore[attr-defined]
    return wrapped


def wrap(
    owner: Any,
    name: str,
    before: Callable[[Any, Any], Any],
    after: Callable[[Any, Any, Optional[BaseException]], None],
    unless: Callable[[], bool] = bool,
) -> bool:
    """Put `around` on `owner.name`; False where there is no such thing."""
    function = getattr(owner, name, None)
    if function is None:
        return False
    setattr(owner, name, around(function, before, after, unless))
    return True


def follow(owner: Any, name: str, then: Callable[[Any, Any], None]) -> bool:
    """
    Run `then(args, result)` after every call of `owner.name` that returned; False
    where there is no such thing.
    """
    function = getattr(owner, name, None)
    if function is None:
        return False
    probe, then = _raw(then)

    @functools.wraps(function)
    def followed(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if probe not in _off:
            began, seconds = clock() if meter.on else 0.0, meter.seconds
            try:
                then(args, result)
            except Exception as failure:
                switch_off(probe, failure)
            if began:
                # What it called may have counted itself.
                meter.seconds = seconds + clock() - began
                meter.calls += 1
        return result

    setattr(owner, name, followed)
    return True
