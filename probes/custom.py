"""
Phases that a user names in a loop of their own.

`from trainwatch import phase` is this `phase`, whether trainwatch is installed
or only its probes are there. Where no run is watched it does nothing, and
importing it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, List, Optional, TypeVar

    from .own import Own

    F = TypeVar("F", bound=Callable[..., Any])

_own: Optional[Own] = None
"""Tells the phases, once this process is watched."""
_compiling: Callable[[], bool] = bool
"""Is a compiler reading this?"""


class phase:
    """
    A phase of your own: `with phase("rollout"):` or `@phase("reward")`.

    What probes see inside it (a forward in a rollout) stays with them. Around a
    generator it counts while that runs, not while it waits for its reader; around
    an async function, from its beginning to its end; an async generator is left
    as it is. Exceptions pass through.

    Raises:
        TypeError: `name` is not a text.
    """

    __slots__ = ("_spans", "name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError('a phase has a name: phase("rollout")')
        self.name = name
        self._spans: List[Any] = []

    def __enter__(self) -> phase:
        if _own is not None and not _compiling():
            self._spans.append(_own.began(self.name))
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self._spans and _own is not None and not _compiling():
            _own.ended(self._spans.pop(), error)

    def __call__(self, function: F) -> F:
        import functools
        import inspect

        name = self.name

        def call(*args: Any, **kwargs: Any) -> Any:
            with phase(name):
                return function(*args, **kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with phase(name):
                return await function(*args, **kwargs)

        def generator(*args: Any, **kwargs: Any) -> Any:
            return _resumed(name, function(*args, **kwargs))

        told: Any = call
        if inspect.iscoroutinefunction(function):
            told = coroutine
        elif inspect.isgeneratorfunction(function):
            told = generator
        elif inspect.isasyncgenfunction(function):
            return function
        return functools.wraps(function)(told)  # type: ignore[return-value]


def _resumed(name: str, generator: Any) -> Any:
    """`generator`, in the phase `name` each time it runs."""
    resume, given = generator.send, None
    while True:
        with phase(name):
            try:
                value = resume(given)
            except StopIteration as ended:
                return ended.value
        try:
            resume, given = generator.send, (yield value)
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as error:
            resume, given = generator.throw, error


def install(process: Any, module: ModuleType) -> None:
    """From now on `phase` of `trainwatch` tells `process`, but to no compiler."""
    global _compiling, _own
    if module.__name__ == "torch":
        _compiling = module.compiler.is_compiling
        return
    from .own import Own

    _own = Own(process)
    module.phase = phase  # type: ignore[attr-defined]
