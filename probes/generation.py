"""
`generate` of transformers: time to the first token, tokens, rate.

`_update_model_kwargs_for_generation` runs once after each forward of a decoding
loop; its first call ends the prefill. Nothing is read from the device.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, Optional, Tuple

from .events import GenerationBegan, GenerationEnded
from .guard import guarded, wrap
from .process import Process
from .timeline import Span, Timeline


class Generating:
    """One call of `generate` that is under way."""

    def __init__(self, model: Any, span: Optional[Span], number: int) -> None:
        self.model = model
        self.span = span
        self.number = number
        self.began = time.monotonic()
        self.first: Optional[float] = None
        self.second: Optional[float] = None
        self.tokens = 0
        self.prompt: Optional[int] = None
        self.cap: Optional[int] = None


class Generations:
    """The calls of `generate` in this process, at most one per thread."""

    def __init__(self, process: Process, timeline: Timeline) -> None:
        self.process = process
        self.timeline = timeline
        self._numbers = itertools.count(1)
        self._local = threading.local()

    @guarded("generation")
    def began(self, args: Any, kwargs: Any) -> Optional[Generating]:
        if getattr(self._local, "now", None) is not None:
            return None
        self.process.identify("generate")
        model = args[0]
        device = getattr(getattr(model, "device", None), "type", None)
        if isinstance(device, str):
            self.process.devices.add(device)
        span = self.timeline.enter("generate")
        now = Generating(model, span, next(self._numbers))
        self._local.now = now
        self.timeline.part(span, "prefill")
        prompt, batch = _prompt(args, kwargs)
        now.prompt = prompt
        now.cap = _cap(model, kwargs, prompt)
        self.process.emit(
            GenerationBegan(
                id=now.number,
                prompt_tokens=prompt,
                max_new_tokens=now.cap,
                batch=batch,
                step=self.process.where()[1],
            )
        )
        return now

    @guarded("generation")
    def advanced(self, args: Any, kwargs: Any) -> None:
        now: Optional[Generating] = getattr(self._local, "now", None)
        if now is None or not args or args[0] is not now.model:
            return
        new = kwargs.get("num_new_tokens", 1)
        now.tokens += new if isinstance(new, int) else 1
        if now.first is None:
            now.first = time.monotonic()
            self.timeline.part(now.span, "decode")
        elif now.second is None:
            now.second = time.monotonic()
        if now.span is not None:
            self.timeline.progress(tokens=now.tokens)

    @guarded("generation")
    def ended(
        self, now: Generating, result: Any, error: Optional[BaseException]
    ) -> None:
        self._local.now = None
        end = time.monotonic()
        self.timeline.leave(now.span, error)
        tokens = _new_tokens(now, result)
        rate = None
        if now.first is not None and tokens > 1 and end > now.first:
            rate = round((tokens - 1) / (end - now.first), 3)
        ttft = second = None
        if now.first is not None:
            ttft = round(now.first - now.began, 6)
            if now.second is not None:
                second = round(now.second - now.first, 6)
        self.process.emit(
            GenerationEnded(
                id=now.number,
                ttft_s=ttft,
                tokens=tokens,
                seconds=round(end - now.began, 6),
                tokens_per_s=rate,
                second_token_s=second,
                hit_cap=None if now.cap is None or error else tokens >= now.cap,
                failed=error is not None,
            )
        )


def install(process: Process, module: Any) -> None:
    """Watch `GenerationMixin`."""
    assert process.timeline is not None
    generations = Generations(process, process.timeline)
    mixin = module.GenerationMixin
    wrap(mixin, "generate", generations.began, generations.ended)
    wrap(
        mixin,
        "_update_model_kwargs_for_generation",
        generations.advanced,
        generations.ended,
    )


def _prompt(args: Any, kwargs: Any) -> Tuple[Optional[int], Optional[int]]:
    """(tokens, rows) of the prompt, as far as it is a tensor."""
    given = args[1] if len(args) > 1 else None
    for name in ("inputs", "input_ids", "inputs_embeds"):
        if given is None:
            given = kwargs.get(name)
    shape = getattr(given, "shape", None)
    if shape is None or len(shape) < 2:
        return None, None
    return int(shape[1]), int(shape[0])


def _cap(model: Any, kwargs: Any, prompt: Optional[int]) -> Optional[int]:
    """The most new tokens this call may make."""
    config = kwargs.get("generation_config") or getattr(
        model, "generation_config", None
    )
    for source in (kwargs.get, lambda name: getattr(config, name, None)):
        cap = source("max_new_tokens")
        if isinstance(cap, int):
            return cap
        length = source("max_length")
        if isinstance(length, int) and prompt is not None:
            encoder = getattr(
                getattr(model, "config", None), "is_encoder_decoder", False
            )
            return max(0, length - (0 if encoder else prompt))
    return None


def _new_tokens(now: Generating, result: Any) -> int:
    """The length of the result without the prompt, else what was counted."""
    sequences = getattr(result, "sequences", result)
    shape = getattr(sequences, "shape", None)
    config = getattr(now.model, "config", None)
    if (
        shape is None
        or len(shape) != 2
        or now.prompt is None
        or getattr(config, "is_encoder_decoder", False)
    ):
        return now.tokens
    length = int(shape[1]) - now.prompt
    # With embeddings as the prompt the result holds the new tokens only.
    return length if 0 <= length <= now.tokens else now.tokens
