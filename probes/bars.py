"""
How long a plain loop will be, by its own progress bar. A guess with evidence.

A loop of one's own tells nobody its number of steps, but many hold a tqdm over
`range(steps)`. A bar is believed when it has moved with the optimizer, step for
step, three times; a bar over anything else (a DataLoader: one epoch) is not. A
bar that stops moving with the steps is no longer believed.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, Optional, Tuple

SIGHTINGS = 3
LOOKS = 20
"""After so many steps without a bar to believe, only every LOOKS-th step looks."""


class Bars:
    """Looks at the tqdm bars of this process after each step."""

    def __init__(self) -> None:
        self.total: Optional[int] = None
        """Steps in all, in the loop's count; None while no bar says so."""
        self._believed = 0
        self._offsets: Dict[int, Tuple[int, int]] = {}

    def look(self, step: int) -> bool:
        """Look after step number `step`; True when `total` has changed."""
        if step > LOOKS and step % LOOKS and self.total is None:
            return False
        before, self.total = self.total, self._find(step)
        return self.total != before

    def _find(self, step: int) -> Optional[int]:
        tqdm = sys.modules.get("tqdm.std")
        if tqdm is None:
            return None
        offsets, self._offsets = self._offsets, {}
        found = None
        for bar in list(getattr(tqdm.tqdm, "_instances", ())):
            if not _counts_steps(bar):
                continue
            offset = step - bar.n
            known, seen = offsets.get(id(bar), (offset, 0))
            # tqdm writes its count down at most ten times a second, so a bar that
            # was believed may fall behind.
            if offset < known or (offset > known and seen < SIGHTINGS):
                known, seen = offset, 0
            self._offsets[id(bar)] = (known, seen + 1)
            # In the body of the k-th iteration a bar stands at k - 1.
            total = int(bar.total) + known - 1
            if seen + 1 >= SIGHTINGS and total >= step:
                found = total
        return found


def _counts_steps(bar: Any) -> bool:
    over = getattr(bar, "iterable", None)
    total = getattr(bar, "total", None)
    return (
        (over is None or isinstance(over, range))
        and isinstance(total, int)
        and total > 0
        and not getattr(bar, "disable", False)
    )
