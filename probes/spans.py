"""
One phase that is open, where it is more than a call of a step's phase.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from .nesting import OTHER


class Span:
    """One open phase that is not a call of a step's phase."""

    __slots__ = (
        "at",
        "before",
        "began",
        "detail",
        "name",
        "number",
        "open",
        "outer",
        "part",
        "part_began",
        "parts",
        "phase",
        "rows",
        "shown",
        "told",
        "total",
    )

    def __init__(
        self,
        phase: str,
        number: int,
        began: int,
        detail: str,
        rows: int,
        total: int,
    ) -> None:
        self.phase = phase
        self.name = detail if phase == "custom" else phase
        self.number = number
        self.began = self.shown = self.part_began = began
        self.detail = detail
        self.rows = rows
        self.total = total
        self.told = bool(detail) or rows >= 0 or total >= 0
        """There is more to show than the phase."""
        self.outer = OTHER
        self.open = 0
        """The phases open around it, as bits."""
        self.at = 0
        """The change with which it began."""
        self.before = -1
        """Nanoseconds of this phase before this span; -1 until the ring is read."""
        self.part = ""
        self.parts: Optional[Dict[str, Tuple[int, int]]] = None
        """Part -> (when it began first, its nanoseconds)."""

    def end_part(self, now: int) -> None:
        """Its part ends, if one is under way."""
        if self.part:
            if self.parts is None:
                self.parts = {}
            began, spent = self.parts.get(self.part, (self.part_began, 0))
            self.parts[self.part] = (began, spent + now - self.part_began)
            self.part = ""

    def begin_part(self, name: str, now: int) -> None:
        """`name` (prefill, decode) is its part from now on."""
        self.end_part(now)
        self.part, self.part_began = name, now
        self.shown = now
