"""
Steps that a gradient scaler skips because it found infinities.

Such a step never comes to the optimizer. A fused optimizer decides it on the
device: on a CPU the answer is read, elsewhere reading it would be a wait.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

from .guard import guarded, wrap
from .loop import Loop
from .process import Process
from .spans import Span

Token = Tuple[Any, int, Optional[Span]]
"""The optimizer, its loop's steps so far, the open phase."""


class Scaling:
    """What `GradScaler.step` does in this process."""

    def __init__(self, process: Process, loop: Loop) -> None:
        self.process = process
        self.loop = loop

    @guarded("scaler")
    def begins(self, args: Any, kwargs: Any) -> Optional[Token]:
        optimizer = args[1] if len(args) > 1 else kwargs.get("optimizer")
        if optimizer is None:
            return None
        self.loop.found_infinity = self.found_infinity
        span = self.loop.timeline.enter("optimizer")
        return optimizer, self.loop.optimizer_steps, span

    @guarded("scaler")
    def ends(self, token: Token, result: Any, error: Optional[BaseException]) -> None:
        optimizer, steps, span = token
        self.loop.found_infinity = None
        self.loop.timeline.leave(span, error)
        if error is None and self.loop.optimizer_steps == steps:
            self.loop.skip_step(optimizer)

    def found_infinity(self, optimizer: Any) -> bool:
        """Whether a fused optimizer that has just stepped changed nothing."""
        found = getattr(optimizer, "found_inf", None)
        if found is None:
            return False
        if found.device.type == "cpu":
            return bool(found)
        self.process.miss(
            "skipped steps",
            "a fused optimizer on %s decides there; asking it would be a wait"
            % found.device.type,
        )
        return False


def install(process: Process, module: Any) -> None:
    """Watch torch's gradient scaler, and so those built on it."""
    if process.loop is not None:
        scaling = Scaling(process, process.loop)
        wrap(module.amp.GradScaler, "step", scaling.begins, scaling.ends)
