"""
What comes in: models, tokenizers, data sets.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Callable, Optional, Tuple

from .count import Count, length
from .guard import around, guarded, wrap
from .process import Process
from .spans import Span
from .timeline import Timeline

Hooks = Tuple[Callable[..., Any], Callable[..., Any]]


def install(process: Process, module: Any) -> None:
    """Span what `module` loads."""
    assert process.timeline is not None
    timeline = process.timeline
    name = module.__name__
    if name == "torch":
        wrap(module, "load", *_load(timeline, 0, "f"))
    elif name == "safetensors.torch":
        wrap(module, "load_file", *_load(timeline, 0, "filename"))
    elif name == "transformers.modeling_utils":
        tensors = Count(timeline)
        _span_class_method(
            module.PreTrainedModel,
            "from_pretrained",
            *_load(timeline, 1, "pretrained_model_name_or_path", tensors),
        )
        loader = sys.modules.get("transformers.core_model_loading")
        bar = getattr(loader, "tqdm", None)
        if callable(bar):
            loader.tqdm = _Tensors(bar, tensors)  # type: ignore[union-attr]
    elif name == "transformers.tokenization_utils_base":
        _span_class_method(
            module.PreTrainedTokenizerBase,
            "from_pretrained",
            *_load(timeline, 1, "pretrained_model_name_or_path"),
        )
    elif name == "datasets.arrow_dataset":
        rows = _Rows(timeline)
        for method in ("map", "filter"):
            wrap(module.Dataset, method, *rows.around(method))
        bar = getattr(module, "hf_tqdm", None)
        if isinstance(bar, type):
            module.hf_tqdm = rows.counted(bar)


def _leave(timeline: Timeline, count: Optional[Count] = None) -> Callable[..., Any]:
    @guarded("loading")
    def after(span: Span, result: Any, error: Optional[BaseException]) -> None:
        if count is not None:
            count.end()
        timeline.leave(span, error)

    return after


def _load(
    timeline: Timeline, position: int, keyword: str, count: Optional[Count] = None
) -> Hooks:
    @guarded("loading")
    def before(args: Any, kwargs: Any) -> Optional[Span]:
        source = args[position] if len(args) > position else kwargs.get(keyword)
        span = timeline.enter("load", label(source))
        return span if count is None else count.begin(span)

    return before, _leave(timeline, count)


class _Rows:
    """
    Rows done by `Dataset.map` and `filter`.

    They are what these methods tell their own bar (datasets 2.19 and later; before,
    only the total is known), also where it is not shown, and where worker processes
    do the work.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._count = Count(timeline)
        self._bar: Optional[int] = None
        """The bar that counts: a map inside the user's function has its own."""
        self._done = 0

    def around(self, method: str) -> Hooks:
        @guarded("loading")
        def before(args: Any, kwargs: Any) -> Optional[Span]:
            detail = str(kwargs.get("desc") or method)
            span = self._timeline.enter("data", detail, total=len(args[0]))
            if span is not None:
                self._bar = None
            return self._count.begin(span)

        return before, _leave(self._timeline, self._count)

    def counted(self, bar: Any) -> Any:
        """The class `bar`, telling us what it is told."""
        rows = self

        class Bar(bar):  # type: ignore[misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                rows.begin(self, kwargs.get("initial") or 0)

            def update(self, n: Any = 1) -> Any:
                rows.move(self, n)
                return super().update(n)

        Bar.__name__, Bar.__qualname__ = bar.__name__, bar.__qualname__
        Bar.__module__ = bar.__module__
        return Bar

    @guarded("loading")
    def begin(self, bar: Any, done: int) -> None:
        """`bar` was made, with `done` rows done before (they lay in the cache)."""
        if self._count.open and self._bar is None:
            self._bar, self._done = id(bar), done
            self._count.at(done)

    @guarded("loading")
    def move(self, bar: Any, rows: int) -> None:
        """`bar` was told of more rows."""
        if self._bar == id(bar):
            self._done += rows
            self._count.at(self._done)


class _Tensors:
    """
    Tensors of a model that were loaded: transformers walks over them with a bar of
    its own, and here we walk along.

    Args:
        bar: the callable that makes the bar.
        count: of the phase `load`.
    """

    def __init__(self, bar: Callable[..., Any], count: Count) -> None:
        self._bar = bar
        self._count = count

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bar = self._bar(*args, **kwargs)
        return self._walk(bar, length(args[0])) if args else bar

    def _walk(self, bar: Any, total: int) -> Any:
        self._tell(0, total)
        for done, item in enumerate(bar):
            self._tell(done)
            yield item

    @guarded("loading")
    def _tell(self, done: int, total: int = -1) -> None:
        self._count.expect(total)
        self._count.at(done)


def label(source: Any) -> str:
    """The short name of what is loaded: a folder's or file's, or a hub id."""
    if not isinstance(source, (str, os.PathLike)):
        return ""
    text = os.fspath(source)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if os.path.isabs(text) or os.path.exists(text):
        return os.path.basename(os.path.normpath(text))
    return text


def _span_class_method(
    owner: Any, name: str, before: Callable[..., Any], after: Callable[..., Any]
) -> None:
    """Span a class method; `args[0]` of the hooks is the class."""
    declared = owner.__dict__.get(name)
    if not isinstance(declared, classmethod):
        return
    spanned = around(declared.__func__, before, after)

    @functools.wraps(declared.__func__)
    def method(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return spanned(cls, *args, **kwargs)

    setattr(owner, name, classmethod(method))
