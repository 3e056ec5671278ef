"""
What comes in: models, tokenizers, data sets, downloads.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Optional, Tuple

from .guard import around, guarded, wrap
from .process import Process
from .timeline import Span, Timeline

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
        _span_class_method(
            module.PreTrainedModel,
            "from_pretrained",
            *_load(timeline, 1, "pretrained_model_name_or_path"),
        )
    elif name == "transformers.tokenization_utils_base":
        _span_class_method(
            module.PreTrainedTokenizerBase,
            "from_pretrained",
            *_load(timeline, 1, "pretrained_model_name_or_path"),
        )
    elif name == "datasets.arrow_dataset":
        for method in ("map", "filter"):
            wrap(module.Dataset, method, *_data(timeline, method))
    elif name == "huggingface_hub.file_download":
        for function in ("http_get", "xet_get"):
            wrap(module, function, *_download(timeline))


def _leave(timeline: Timeline) -> Callable[..., Any]:
    @guarded("loading")
    def after(span: Span, result: Any, error: Optional[BaseException]) -> None:
        timeline.leave(span, error)

    return after


def _load(timeline: Timeline, position: int, keyword: str) -> Hooks:
    @guarded("loading")
    def before(args: Any, kwargs: Any) -> Optional[Span]:
        source = args[position] if len(args) > position else kwargs.get(keyword)
        return timeline.enter("load", label(source))

    return before, _leave(timeline)


def _data(timeline: Timeline, method: str) -> Hooks:
    @guarded("loading")
    def before(args: Any, kwargs: Any) -> Optional[Span]:
        total = len(args[0])
        return timeline.enter("data", str(kwargs.get("desc") or method), total=total)

    return before, _leave(timeline)


def _download(timeline: Timeline) -> Hooks:
    @guarded("loading")
    def before(args: Any, kwargs: Any) -> Optional[Span]:
        size = kwargs.get("expected_size")
        total = size if isinstance(size, int) else -1
        name = kwargs.get("displayed_filename")
        return timeline.enter("download", str(name or ""), total=total)

    return before, _leave(timeline)


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
