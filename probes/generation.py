"""
`generate` of transformers: time to the first token, tokens, pace, cap.

Three methods of its decoding loops are watched, the same from 4.46 to 5.23:

- `_get_logits_processor` is called with the settled generation config, once
  before the loop: the cap, the length of the prompt in the result, the cache.
- `_update_model_kwargs_for_generation` runs after each forward and knows how
  many tokens it gave (more than one with assisted decoding).
- `_has_unfinished_sequences` decides on the next turn. The loop has just read
  from the device whether it goes on, so by then the token is there, also where
  forwards are only queued. That moment is the token's time.

On MPS transformers 5.23 reads that answer one turn late (`DeferredStopCheck`):
there a token's time is that of the next turn, and the turn too many is not
counted.

Nothing is read from a device, except the last column of a result in RAM.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, FrozenSet, Optional, Tuple

from .events import GenerationAdvanced, GenerationBegan, GenerationEnded
from .guard import guarded, wrap
from .pace import Pace
from .process import Process
from .spans import Span
from .timeline import Timeline

TELL_S = (1.0, 5.0)
"""A generation under way is told this often: less often the longer it runs."""
TELL_SHARE = 0.02
CACHES = ("past_key_values", "cache_params", "state", "mems", "past_buckets_states")
"""Caches that `generate` carries on, where transformers does not list them."""


class Generating:
    """One call of `generate` that is under way. Times are monotonic seconds."""

    def __init__(self, model: Any, span: Optional[Span], number: int) -> None:
        self.model = model
        self.span = span
        self.number = number
        self.began = time.monotonic()
        self.tell_at = self.began + TELL_S[0]
        self.told = False
        """`GenerationBegan` is out."""
        self.prompt: Optional[int] = None
        self.batch: Optional[int] = None
        self.cap: Optional[int] = None
        self.given: Optional[int] = None
        """Tokens at the head of the result that were not made here."""
        self.ends: FrozenSet[int] = frozenset()
        """Tokens that a row which ended by itself ends with."""
        self.use_cache: Optional[bool] = None
        self.hidden = 0
        """Calls inside this one that draft for it, or belong to another model."""
        self.pending = 0
        """Tokens whose forward was called and whose time has not come."""
        self.held = 0
        """Such tokens of the turn before, where the loop looks one turn late."""
        self.late = False
        """The loop looks one turn late."""
        self.tokens = 0
        self.first: Optional[float] = None
        self.second: Optional[float] = None
        self.pace = Pace()


class _Here(threading.local):
    now: Optional[Generating] = None


_HIDDEN = object()


class Generations:
    """The calls of `generate` in this process, at most one per thread."""

    def __init__(
        self, process: Process, timeline: Timeline, caches: Tuple[str, ...] = CACHES
    ) -> None:
        self.process = process
        self.timeline = timeline
        self.caches = caches
        self._numbers = itertools.count(1)
        self._here = _Here()

    # --- one call ---

    @guarded("generation")
    def began(self, args: Any, kwargs: Any) -> Any:
        now = self._here.now
        if now is not None:
            if args[0] is now.model and not _drafts(kwargs):
                # transformers hands old ways of decoding on to itself.
                return None
            now.hidden += 1
            return _HIDDEN
        self.process.identify("generate")
        model = args[0]
        device = getattr(getattr(model, "device", None), "type", None)
        if isinstance(device, str):
            self.process.devices.add(device)
        span = self.timeline.enter("generate")
        now = Generating(model, span, next(self._numbers))
        now.prompt, now.batch = _prompt(args, kwargs)
        self._here.now = now
        self._show(now, "prefill")
        return now

    @guarded("generation")
    def prepared(self, args: Any, kwargs: Any) -> None:
        """`_get_logits_processor(generation_config, input_ids_seq_length, ...)`."""
        now = self._here.now
        if now is None or now.hidden:
            return
        given = dict(zip(("generation_config", "input_ids_seq_length"), args[1:3]))
        given.update(kwargs)
        config = given.get("generation_config")
        longest = getattr(config, "max_length", None)
        length = given.get("input_ids_seq_length")
        if isinstance(length, int):
            now.given = length
            if isinstance(longest, int):
                now.cap = max(0, longest - length)
        use_cache = getattr(config, "use_cache", None)
        if isinstance(use_cache, bool):
            now.use_cache = use_cache
        now.ends = _ends(config)
        self._tell_begin(now)
        if now.first is None:
            self._count(now)

    @guarded("generation")
    def advanced(self, args: Any, kwargs: Any) -> None:
        """`_update_model_kwargs_for_generation(outputs, ...)`: a forward is over."""
        now = self._here.now
        if now is None or now.hidden:
            return
        if now.pending:
            # A loop of the user's that does not ask whether to go on.
            self._take(now, now.pending)
            now.pending = 0
        elif now.first is None and now.use_cache and not now.held:
            now.use_cache = _kept(args[1], self.caches)
        new = kwargs.get("num_new_tokens", 1)
        now.pending += new if isinstance(new, int) else _grown(now, args[1])

    @guarded("generation")
    def checking(self, args: Any, kwargs: Any) -> Optional[Generating]:
        """`_has_unfinished_sequences`: None when no token waits for it."""
        now = self._here.now
        if now is None or now.hidden or not (now.pending or now.held):
            return None
        return now

    @guarded("generation")
    def checked(
        self, now: Generating, result: Any, error: Optional[BaseException]
    ) -> None:
        ready = now.pending
        if now.late:
            ready, now.held = now.held, ready
        now.pending = 0
        if ready:
            self._take(now, ready)

    @guarded("generation")
    def deferred(self, args: Any, kwargs: Any) -> None:
        """A `DeferredStopCheck` is made."""
        now = self._here.now
        if now is not None and not now.hidden:
            now.late = True

    @guarded("generation")
    def ended(self, token: Any, result: Any, error: Optional[BaseException]) -> None:
        if token is _HIDDEN:
            if self._here.now is not None:
                self._here.now.hidden -= 1
            return
        now: Generating = token
        self._here.now = None
        end = time.monotonic()
        self._tell_begin(now)
        sequences = getattr(result, "sequences", result)
        tokens = _new_tokens(now, sequences)
        waiting = now.held or now.pending
        if waiting and now.tokens + waiting <= tokens:
            self._take(now, waiting)
        self.timeline.leave(now.span, error)
        rate = None
        if now.first is not None and tokens > 1 and end > now.first:
            rate = round((tokens - 1) / (end - now.first), 3)
        rows, at_cap = (None, None) if error else _rows(now, sequences, tokens)
        hit_cap = None
        if now.cap is not None and not error:
            hit_cap = tokens >= now.cap if at_cap is None else at_cap > 0
        ttft, second, gap, early, late = _times(now)
        self.process.emit(
            GenerationEnded(
                id=now.number,
                ttft_s=ttft,
                tokens=tokens,
                seconds=round(end - now.began, 6),
                tokens_per_s=rate,
                second_token_s=second,
                hit_cap=hit_cap,
                failed=error is not None,
                max_new_tokens=now.cap,
                inter_token_s=gap,
                inter_token_first_half_s=early,
                inter_token_second_half_s=late,
                use_cache=now.use_cache,
                rows=rows,
                rows_at_cap=at_cap,
            )
        )

    # --- inside ---

    def _take(self, now: Generating, count: int) -> None:
        """`count` more tokens are there."""
        when = time.monotonic()
        now.tokens += count
        now.pace.mark(now.tokens, when)
        if now.first is None:
            now.first = when
            self._show(now, "decode")
        else:
            if now.second is None:
                now.second = when
            record = self.timeline.record
            if record is not None and now.span is not None:
                record.tokens(now.tokens)
        if when >= now.tell_at:
            self._tell(now, when)

    def _show(self, now: Generating, part: str) -> None:
        self.timeline.part(now.span, part)
        self._count(now)

    def _count(self, now: Generating) -> None:
        """Tokens so far and the cap, in the flight record."""
        record = self.timeline.record
        if record is not None and now.span is not None:
            total = -1 if now.cap is None else now.cap
            record.describe(tokens=now.tokens, total=total)

    def _tell_begin(self, now: Generating) -> None:
        if now.told:
            return
        now.told = True
        self.process.emit(
            GenerationBegan(
                id=now.number,
                prompt_tokens=now.prompt,
                max_new_tokens=now.cap,
                batch=now.batch,
                step=self.process.where()[1],
                began=now.began,
            )
        )

    def _tell(self, now: Generating, when: float) -> None:
        least, most = TELL_S
        wait = min(most, max(least, TELL_SHARE * (when - now.began)))
        now.tell_at = when + wait
        self._tell_begin(now)
        ttft, second, gap, early, late = _times(now)
        self.process.emit(
            GenerationAdvanced(
                id=now.number,
                tokens=now.tokens,
                max_new_tokens=now.cap,
                ttft_s=ttft,
                second_token_s=second,
                inter_token_s=gap,
                inter_token_first_half_s=early,
                inter_token_second_half_s=late,
                use_cache=now.use_cache,
            )
        )


def install(process: Process, module: Any) -> None:
    """Watch `GenerationMixin`."""
    assert process.timeline is not None
    caches = getattr(module, "ALL_CACHE_NAMES", CACHES)
    generations = Generations(process, process.timeline, tuple(caches))
    mixin, ended = module.GenerationMixin, generations.ended
    wrap(mixin, "generate", generations.began, ended)
    wrap(mixin, "_get_logits_processor", generations.prepared, ended)
    wrap(mixin, "_update_model_kwargs_for_generation", generations.advanced, ended)
    wrap(mixin, "_has_unfinished_sequences", generations.checking, generations.checked)
    late = getattr(module, "DeferredStopCheck", None)
    if late is not None:
        wrap(late, "__init__", generations.deferred, ended)


def _drafts(kwargs: Any) -> bool:
    """Does this call of `generate` draft tokens for another one?"""
    config = kwargs.get("generation_config")
    return bool(getattr(config, "is_assistant", False))


def _prompt(args: Any, kwargs: Any) -> Tuple[Optional[int], Optional[int]]:
    """(tokens, rows) of the prompt with its padding, where it is made of tokens."""
    for name in ("inputs_embeds", "input_ids", "inputs"):
        given = kwargs.get(name)
        if given is None and name == "inputs" and len(args) > 1:
            given = args[1]
        shape = getattr(given, "shape", None)
        if shape is None or not len(shape):
            continue
        if len(shape) == (3 if name == "inputs_embeds" else 2):
            return int(shape[1]), int(shape[0])
        return None, int(shape[0])
    return None, None


def _ends(config: Any) -> FrozenSet[int]:
    """The tokens that end a row, and the one that fills it up behind its end."""
    ends = _token_ids(getattr(config, "eos_token_id", None))
    if ends:
        ends |= _token_ids(getattr(config, "pad_token_id", None))
    return ends


def _token_ids(value: Any) -> FrozenSet[int]:
    values: Any = value if isinstance(value, (list, tuple)) else (value,)
    return frozenset(token for token in values if isinstance(token, int))


def _kept(outputs: Any, names: Tuple[str, ...]) -> bool:
    """
    Did this forward keep anything for the next one?

    Under gradient checkpointing a model in training mode is handed a cache and
    leaves it empty (transformers 5.23).
    """
    cache: Any = next((outputs[name] for name in names if name in outputs), None)
    if type(cache).__name__ != "DynamicCache":
        return cache is not None
    try:
        return bool(cache.get_seq_length() != 0)
    except ValueError:
        # No layer of it has a length: they hold other states.
        return True


def _grown(now: Generating, outputs: Any) -> int:
    """
    Tokens of a forward whose number is on the device (assisted decoding, 4.x).

    By then the cache holds the prompt and all tokens but the newest.
    """
    length = getattr(getattr(outputs, "past_key_values", None), "get_seq_length", None)
    cached = None if length is None else length()
    if not isinstance(cached, int) or now.given is None:
        return 1
    return max(1, cached + 1 - now.given - now.tokens - now.held)


def _new_tokens(now: Generating, sequences: Any) -> int:
    """
    New tokens of the longest row.

    The result's length without what was given; rows that ended before are filled
    up to it. Where there is no such result, what was counted.
    """
    counted = now.tokens + now.held + now.pending
    shape = getattr(sequences, "shape", None)
    if shape is None or len(shape) != 2 or now.given is None:
        return counted
    length = int(shape[1]) - now.given
    return length if 0 <= length <= counted else counted


def _rows(
    now: Generating, sequences: Any, tokens: int
) -> Tuple[Optional[int], Optional[int]]:
    """
    (rows of the result, rows that end at the cap and not by themselves).

    The second is None where a device would have to be asked.
    """
    shape = getattr(sequences, "shape", None)
    if shape is None or len(shape) != 2:
        return None, None
    rows = int(shape[0])
    if now.cap is None:
        return rows, None
    if tokens < now.cap:
        return rows, 0
    if getattr(getattr(sequences, "device", None), "type", None) != "cpu":
        return rows, None
    return rows, sum(token not in now.ends for token in sequences[:, -1].tolist())


def _times(now: Generating) -> Tuple[Optional[float], ...]:
    """Time to the first token, to the second, median gaps: all, halves."""
    ttft = second = None
    if now.first is not None:
        ttft = now.first - now.began
        if now.second is not None:
            second = now.second - now.first
    return tuple(
        None if value is None else round(value, 6)
        for value in (ttft, second, *now.pace.summary())
    )
