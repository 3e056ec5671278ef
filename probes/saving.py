"""
What goes out: `save_pretrained`, `torch.save` and safetensors files.

A checkpoint of a Trainer is the trainer probe's; what runs inside another save
is part of it.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Tuple

from .events import CheckpointSaved
from .guard import guarded, wrap
from .process import Process
from .sizes import size_of
from .spans import Span

PLACE_BYTES = 128
"""What the flight record has room for."""
INTERVAL_S = 0.5
"""Files written faster than this one after the other are not each told as a
checkpoint."""


def install(process: Process, module: Any) -> None:
    """Span what `module` saves."""
    name = module.__name__
    saves = _Saves(process)
    if name == "torch":
        wrap(module, "save", saves.before(1, "f"), saves.after)
    elif name == "safetensors.torch":
        wrap(module, "save_file", saves.before(1, "filename"), saves.after)
    elif name == "transformers.modeling_utils":
        wrap(
            module.PreTrainedModel,
            "save_pretrained",
            saves.before(1, "save_directory"),
            saves.after,
        )
    elif name == "peft.peft_model":
        wrap(
            module.PeftModel,
            "save_pretrained",
            saves.before(1, "save_directory"),
            saves.after,
        )


class _Saves:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._told = 0.0

    def before(self, position: int, keyword: str) -> Callable[..., Any]:
        @guarded("saving")
        def begins(args: Any, kwargs: Any) -> Optional[Tuple[Span, str]]:
            target = args[position] if len(args) > position else kwargs.get(keyword)
            path = ""
            if isinstance(target, (str, os.PathLike)):
                path = os.fsdecode(target)
            timeline = self._process.timeline
            if timeline is None:
                return None
            span = timeline.enter("save", place(path))
            return None if span is None else (span, path)

        return begins

    @guarded("saving")
    def after(
        self,
        token: Tuple[Span, str],
        result: Any,
        error: Optional[BaseException],
    ) -> None:
        span, path = token
        timeline = self._process.timeline
        if timeline is None:
            return
        size = size_of(path) if path else None
        now = timeline.now()
        span.detail = name_of(path)
        timeline.leave(span, error, nbytes=size)
        if error is not None or size is None or now - self._told < INTERVAL_S:
            return
        self._told = now
        self._process.emit(
            CheckpointSaved(
                path=os.path.abspath(path),
                step=self._process.where()[1],
                seconds=round(timeline.age(span), 6),
                bytes=size,
            )
        )


def name_of(path: str) -> str:
    return os.path.basename(os.path.normpath(path)) if path else ""


def place(path: str) -> str:
    """
    Where a save goes, as its detail while it runs: who watches from outside looks
    there how much is written. Only the name where the path is too long.
    """
    if not path:
        return ""
    full = os.path.abspath(path)
    return full if len(os.fsencode(full)) <= PLACE_BYTES else name_of(path)
