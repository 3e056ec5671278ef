"""What a cause says when it is met."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    state: str
    """A verdict that is not an end: `waiting`, `stuck`, `slow`, `failing`."""
    kind: str
    """Of trouble; "" where it is not known."""
    evidence: str
    """`established`, `likely` or `possible`."""
    facts: tuple[str, str]
    do: str = ""
    since: float | None = None
    """Where it is not since the last progress."""
