"""
Batches that a resumed run skips, by accelerate's `skip_first_batches`.

The loaders skip inside their first `next`, which is then a phase of its own. Of an
iterable data set every batch is made and thrown away, and these are counted; of any
other only indices are drawn.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Iterator, Optional, Tuple

from .count import Count
from .guard import guarded
from .process import Process
from .spans import Span
from .timeline import Timeline

LOADERS = (
    "SkipBatchSampler",
    "SkipDataLoader",
    "DataLoaderShard",
    "DataLoaderDispatcher",
)
Skip = Tuple[Span, Any, Any]
"""Its span, the class of torch's iterators, and our counting `__next__` on it."""


class Skipping:
    """What the skipping loaders of this process do."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._count = Count(timeline)

    @guarded("skipping")
    def begins(self, batches: int) -> Optional[Skip]:
        span = self._timeline.enter("skip", total=batches)
        if span is None:
            return None
        self._count.begin(span)
        iterators = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
        iterators.__next__ = mine = self._counting(iterators.__next__)
        return span, iterators, mine

    @guarded("skipping")
    def ends(self, skip: Optional[Skip], error: Optional[BaseException]) -> None:
        if skip is None:
            return
        span, iterators, mine = skip
        if iterators.__next__ is mine:
            iterators.__next__ = mine.__wrapped__
        self._count.end()
        self._timeline.leave(span, error)

    def _counting(self, original: Any) -> Any:
        done = 0

        @functools.wraps(original)
        def __next__(iterator: Any) -> Any:
            nonlocal done
            batch = original(iterator)
            done += 1
            self._tell(done)
            return batch

        return __next__

    @guarded("skipping")
    def _tell(self, done: int) -> None:
        self._count.at(done)

    def first(self, batches: Iterator[Any], skipped: int) -> Iterator[Any]:
        """`batches`, whose first comes after `skipped` that nobody sees."""
        skip = self.begins(skipped)
        try:
            batch = next(batches)
        except StopIteration:
            self.ends(skip, None)
            return
        except BaseException as error:
            self.ends(skip, error)
            raise
        self.ends(skip, None)
        yield batch
        yield from batches


def install(process: Process, module: Any) -> None:
    """Stand around the loaders of `accelerate.data_loader`."""
    assert process.timeline is not None
    skipping = Skipping(process.timeline)
    for name in LOADERS:
        cls = getattr(module, name, None)
        original = None if cls is None else cls.__dict__.get("__iter__")
        if cls is not None and original is not None:
            cls.__iter__ = _iterating(skipping, original)


def _iterating(skipping: Skipping, original: Any) -> Any:
    @functools.wraps(original)
    def __iter__(loader: Any) -> Any:
        batches = original(loader)
        skipped = getattr(loader, "skip_batches", 0)
        if not isinstance(skipped, int) or skipped < 1:
            return batches
        return skipping.first(batches, skipped)

    return __iter__
