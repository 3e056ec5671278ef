"""
What the facts of a generation come to: speed, what is left, whether it slows.

Pure; the numbers are those of one row, as it is the longest that one waits for.
"""

from __future__ import annotations

from trainwatch.runner.state import Generated, Generation

SLOWING = 1.5
"""Times slower in the second half than in the first, and it is said."""
SLOWING_TOKENS = 64
"""Fewer tokens do not tell whether it slows."""


def speed(generation: Generation) -> float | None:
    """Tokens a second after the first one, so far or in all."""
    if generation.done or generation.tokens_per_s is not None:
        return generation.tokens_per_s
    if generation.ttft_s is None or generation.seen is None or generation.tokens < 2:
        return None
    seconds = generation.seen - generation.began - generation.ttft_s
    return (generation.tokens - 1) / seconds if seconds > 0 else None


def gap_s(generation: Generation) -> float | None:
    """Median seconds from token to token; while none is told, the mean."""
    if generation.inter_token_s is not None:
        return generation.inter_token_s
    per_s = speed(generation)
    return 1 / per_s if per_s else None


def slowing(generation: Generation) -> tuple[float, float] | None:
    """Seconds a token in the first and the second half, where these are more."""
    first = generation.inter_token_first_half_s
    second = generation.inter_token_second_half_s
    if not first or second is None or generation.tokens < SLOWING_TOKENS:
        return None
    return (first, second) if second >= SLOWING * first else None


def left_s(generation: Generation) -> float | None:
    """
    Seconds until the cap: the tokens left times the median time of one.

    An end by itself comes before. Of one that slows, the pace of the second half
    counts, and it takes longer still.
    """
    slow = slowing(generation)
    gap = slow[1] if slow else gap_s(generation)
    if generation.done or generation.max_new_tokens is None or gap is None:
        return None
    return max(0, generation.max_new_tokens - generation.tokens) * gap


def cap_share(generated: Generated) -> float | None:
    """The share of calls that ended at the cap, None where none is known."""
    return generated.at_cap / generated.capped if generated.capped else None


def row_cap_share(generated: Generated) -> float | None:
    """The share of rows that ended at the cap, None where none is known."""
    return generated.rows_at_cap / generated.rows if generated.rows else None
