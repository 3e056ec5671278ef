"""
Compilation by `torch.compile`, of a frame or of its backward.

torch runs its own callbacks around each compilation; we stand around those, so
nothing of ours is in what is compiled, and a `torch._dynamo.reset()` that clears
the callbacks does not take us along. One compilation inside another is part of it.
"""

from __future__ import annotations

from typing import Any, List, Optional

from .guard import guarded, wrap
from .process import Process
from .spans import Span
from .timeline import Timeline


class Compilations:
    """The compilations of this process that are under way."""

    def __init__(self, process: Process, timeline: Timeline) -> None:
        self._process = process
        self._timeline = timeline
        self._spans: List[Optional[Span]] = []

    @guarded("compiling")
    def begins(self, args: Any, kwargs: Any) -> None:
        if self._process.loop is not None:
            self._process.loop.compiled = True
        self._spans.append(self._timeline.enter("compile"))

    @guarded("compiling")
    def ends(self, args: Any, kwargs: Any) -> None:
        if self._spans:
            self._timeline.leave(self._spans.pop())


def _nothing(token: Any, result: Any, error: Optional[BaseException]) -> None:
    """Both callbacks are told before they run."""


def install(process: Process, module: Any) -> None:
    """Stand around the callbacks of `torch._dynamo.callback`."""
    assert process.timeline is not None
    handler = getattr(module, "CompilationCallbackHandler", None)
    if handler is None:
        return
    compilations = Compilations(process, process.timeline)
    wrap(handler, "run_start_callbacks", compilations.begins, _nothing)
    wrap(handler, "run_end_callbacks", compilations.ends, _nothing)
