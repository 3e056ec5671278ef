"""
How fast tokens come: a bounded number of moments, whatever the number of tokens.

Moments are kept evenly over the tokens. When they become too many, every second
one is dropped, and only every second token is looked at from then on.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

MARKS = 256
"""Moments kept at most; even."""


class Pace:
    """
    The moments at which so many tokens were there.

    A gap is the time for one more token: between neighbouring tokens up to MARKS
    of them, later the mean over the tokens between two kept moments.
    """

    __slots__ = ("_every", "_next", "_times", "_tokens")

    def __init__(self) -> None:
        self._tokens: List[int] = []
        self._times: List[float] = []
        self._every = 1
        self._next = 0

    def mark(self, tokens: int, when: float) -> None:
        """There are `tokens` tokens at `when` seconds."""
        if tokens < self._next:
            return
        self._tokens.append(tokens)
        self._times.append(when)
        if len(self._times) == MARKS:
            del self._tokens[1::2]
            del self._times[1::2]
            self._every *= 2
        self._next = self._tokens[-1] + self._every

    def gaps(self) -> List[float]:
        """Seconds per token, oldest first."""
        tokens, times = self._tokens, self._times
        return [
            (times[i] - times[i - 1]) / (tokens[i] - tokens[i - 1])
            for i in range(1, len(times))
        ]

    def summary(self) -> Tuple[Optional[float], Optional[float], Optional[float]]:
        """The median gap: of all tokens, of their first half, of their second."""
        gaps = self.gaps()
        half = len(gaps) // 2
        return (
            median(gaps),
            median(gaps[:half]),
            median(gaps[half:]) if half else None,
        )


def median(values: List[float]) -> Optional[float]:
    """The median, None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
