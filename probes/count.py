"""
How far one long phase is: rows, batches or tensors done, in the flight record.
"""

from __future__ import annotations

from typing import Any, Optional

from .spans import Span
from .timeline import Timeline


class Count:
    """The counter of one kind of phase; where its span is not open it rests."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._span: Optional[Span] = None

    @property
    def open(self) -> bool:
        return self._span is not None

    def begin(self, span: Optional[Span]) -> Optional[Span]:
        """Count in `span` from now on; None is part of what counts already."""
        if span is not None:
            self._span = span
        return span

    def end(self) -> None:
        self._span = None

    def expect(self, total: int) -> None:
        """There will be `total` of them."""
        span, record = self._span, self._timeline.record
        if span is None or total < 0:
            return
        span.total, span.told = total, True
        if record is not None:
            detail = span.detail.encode("utf-8", "replace")
            record.describe(detail, rows=span.rows, total=total)

    def at(self, done: int) -> None:
        """`done` of them are done."""
        if self._span is not None:
            self._span.rows = done
            self._timeline.progress(rows=done)


def length(collection: Any) -> int:
    """How many it holds; -1 where it does not know (an endless loader)."""
    try:
        return len(collection)
    except (TypeError, NotImplementedError):
        return -1
