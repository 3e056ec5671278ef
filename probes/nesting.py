"""
Which phases are part of which, by number: inside a forward there is no fetch.
"""

from __future__ import annotations

from typing import Any

from .events import PHASES, STEP_PHASES
from .flight import NUMBER

FETCH, BACKWARD, OTHER = NUMBER["fetch"], NUMBER["backward"], NUMBER["other"]
CUSTOM = NUMBER["custom"]
OWN = len(PHASES)
"""Numbers from here on are those of the user's names."""
STEP = frozenset(STEP_PHASES) - {"other"}
_WORK = frozenset(("fetch", "forward", "reference", "backward", "clip", "optimizer"))
"""Phases inside of which the short ones of PARTS are part of the work."""
PARTS = frozenset(("load", "save", "data", "import", "log", "download"))


def _bits(phases: Any) -> int:
    return sum(1 << NUMBER[phase] for phase in phases)


OUTSIDE = _bits(set(PHASES) - STEP - {"custom"})
"""Phases inside of which nothing counts for a step."""


def _inside(phase: str) -> int:
    """The open phases that `phase` is part of: it does not begin inside them."""
    bits = _bits({phase})
    if phase != "compile":
        bits |= _bits({"backward"})
    if phase in STEP:
        bits |= OUTSIDE
    if phase in PARTS:
        bits |= _bits(_WORK)
    return bits


INSIDE = [_inside(phase) for phase in PHASES]
"""Phase number -> bits of the open phases that it is part of."""
