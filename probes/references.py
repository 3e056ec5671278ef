"""
Modules that a plain loop calls for reference: a teacher, a frozen copy.

Nothing names them, so they are told by how the loop calls them: with parameters,
without gradients, from outside any module, once or twice in every micro-step of
its second step. That is a heuristic: what else is called so (a frozen encoder) is
a forward without gradients too.
"""

from __future__ import annotations

import weakref
from typing import Any, Dict, List, Tuple

PER_MICRO_STEP = 2


class References:
    """Counts the calls of one step."""

    def __init__(self) -> None:
        self.counting = False
        self._calls: Dict[int, Tuple[Any, int]] = {}

    def called(self, module: Any, learning: bool) -> None:
        """`module` was called from outside any module."""
        if not self.counting:
            return
        reference, count = self._calls.get(id(module), (None, 0))
        if reference is None:
            first = next(iter(module.parameters()), None)
            if first is None:
                return
            if learning and any(p.requires_grad for p in module.parameters()):
                return
            reference = weakref.ref(module)
        self._calls[id(module)] = (reference, count + 1)

    def regular(self, micro_steps: int) -> List[Any]:
        """The modules that every micro-step called."""
        self.counting = False
        calls, self._calls = self._calls, {}
        found = []
        for reference, count in calls.values():
            module = reference()
            each, rest = divmod(count, max(1, micro_steps))
            if module is not None and not rest and 1 <= each <= PER_MICRO_STEP:
                found.append(module)
        return found
