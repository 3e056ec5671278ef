"""
A clock that a test moves.
"""

from __future__ import annotations

from collections.abc import Callable


class Nanoseconds:
    """`seconds` in nanoseconds; like the real one it never says the same twice."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._looks = 0

    def __call__(self) -> int:
        self._looks += 1
        return round(1e9 * self._seconds()) + self._looks
