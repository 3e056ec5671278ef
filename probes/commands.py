"""
Requests of the supervisor: save, stop, or finish, which is both, at a step boundary.

The connection's thread takes them in; the training thread asks which are due
when a step has ended. Every request is answered exactly once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from .events import RequestFinished

KINDS = ("save", "stop", "finish")


@dataclass(frozen=True)
class Request:
    kind: str
    id: str
    at_step: Optional[int]
    """The step after which it is due; None is the next one."""
    folder: str


class Requests:
    """The open requests of this process."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._pending: List[Request] = []
        self._step = 0
        self._refusal = "no training has begun in this process"

    def open(self, step: int) -> None:
        """Training has begun after `step` steps: requests are taken."""
        with self._lock:
            self._step = step
            self._refusal = ""

    def close(self, reason: str) -> None:
        """No step will end any more: what is pending, and comes, is refused."""
        with self._lock:
            self._refusal = self._refusal or reason
            pending, self._pending = self._pending, []
        for request in pending:
            self.answer(request, "refused", reason)

    def ask(self, message: Dict[str, Any]) -> None:
        """Take in one message of the supervisor."""
        kind, name = message.get("request"), message.get("id")
        if not isinstance(name, str):
            return
        if kind == "cancel":
            self._cancel(name)
            return
        at_step = message.get("at_step")
        folder = message.get("folder")
        request = Request(
            kind if isinstance(kind, str) else "",
            name,
            at_step if isinstance(at_step, int) else None,
            folder if isinstance(folder, str) else "",
        )
        refusal = self._take(request)
        if refusal:
            self.answer(request, "refused", refusal)

    def due(self, step: int) -> Tuple[Request, ...]:
        """The requests to honour now that `step` steps are done."""
        self._step = step
        if not self._pending:
            return ()
        with self._lock:
            pending = self._pending
            now = tuple(r for r in pending if r.at_step is None or r.at_step == step)
            late = [r for r in pending if r.at_step is not None and r.at_step < step]
            self._pending = [r for r in pending if r not in now and r not in late]
        for request in late:
            self.answer(request, "refused", _past(request, step))
        return now

    def answer(
        self,
        request: Request,
        outcome: str,
        detail: str = "",
        *,
        path: str = "",
        step: Optional[int] = None,
    ) -> None:
        self._emit(
            RequestFinished(
                id=request.id,
                outcome=outcome,
                detail=detail,
                path=path,
                step=self._step if step is None else step,
            )
        )

    def _take(self, request: Request) -> str:
        """Queue `request`; the reason when it cannot be honoured."""
        with self._lock:
            if self._refusal:
                return self._refusal
            if request.kind not in KINDS:
                return "unknown request %.40r" % request.kind
            if request.at_step is not None and request.at_step <= self._step:
                return _past(request, self._step)
            self._pending.append(request)
            return ""

    def _cancel(self, name: str) -> None:
        with self._lock:
            gone = [r for r in self._pending if r.id == name]
            self._pending = [r for r in self._pending if r.id != name]
        for request in gone:
            self.answer(request, "refused", "cancelled")


def _past(request: Request, step: int) -> str:
    return "step %s is already past: step %d is done" % (request.at_step, step)
