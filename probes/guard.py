"""
Fail open: an error in a probe switches that probe off and is told once.

The user's code never sees it. The guard also measures what the hooks cost.
"""

from __future__ import annotations

import functools
from time import perf_counter as clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Set, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


class Meter:
    """What the hooks of this process cost so far."""

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
    """Switch `probe` off because of `error`."""
    meter.errors += 1
    if probe in _off:
        return
    _off.add(probe)
    if _tell is not None:
        try:
            _tell(probe, "%s: %s" % (type(error).__name__, error))
        except Exception:
            meter.errors += 1


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
            began = clock()
            try:
                return function(*args, **kwargs)
            except Exception as error:
                switch_off(probe, error)
                return None
            finally:
                meter.seconds += clock() - began
                meter.calls += 1

        return call  # type: ignore[return-value]

    return decorate


def around(
    function: Callable[..., Any],
    before: Callable[[Any, Any], Any],
    after: Callable[[Any, Any, Optional[BaseException]], None],
    unless: Callable[[], bool] = bool,
) -> Callable[..., Any]:
    """
    `function` with `before(args, kwargs)` and `after(token, result, error)`.

    `before` returns a token, or None for "not this call"; both are guarded by
    the caller. Arguments, result and exceptions pass through untouched. While
    `unless()` is true (a compiler is reading), there is nothing around it.
    """
    if getattr(function, "_trainwatch", False):
        return function

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if unless():
            return function(*args, **kwargs)
        token = before(args, kwargs)
        if token is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            after(token, None, error)
            raise
        after(token, result, None)
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
