"""
What a trainer finds in the checkpoint that it goes on from.

Files are looked for by name and not read: the trainer reads them. The learning rate
before is the last one that its state has logged, the one after is the optimizer's
when training begins.
"""

from __future__ import annotations

import os
from typing import Any, List, Optional, Tuple

from .events import TrainingResumed

OPTIMIZERS = ("optimizer", "global_step")
"""A file or folder of optimizer state begins so; DeepSpeed keeps it in the second."""


def resumed(path: str, args: Any, state: Any, handler: Any) -> TrainingResumed:
    """
    Args:
        path: the checkpoint; "" where it is not known.
        args: the training arguments.
        state: the trainer's state as it was loaded.
        handler: the callback handler, which holds optimizer and scheduler.
    """
    names = _names(path)
    optimizer = _any(names, *OPTIMIZERS)
    scheduler = _any(names, "scheduler")
    if optimizer is not None and not _any(names, "global_step"):
        # A Trainer restores both or none.
        optimizer = scheduler = bool(optimizer and scheduler)
    before, at = _logged(state)
    return TrainingResumed(
        path=os.path.abspath(path) if path else "",
        step=int(state.global_step),
        optimizer=optimizer,
        scheduler=scheduler,
        random=_any(names, "rng_state"),
        rate_before=before,
        rate_step=at,
        rate_after=_rate(getattr(handler, "optimizer", None)),
        skips=not getattr(args, "ignore_data_skip", False),
    )


def _names(path: str) -> Optional[List[str]]:
    try:
        return os.listdir(path) if path else None
    except OSError:
        return None


def _any(names: Optional[List[str]], *starts: str) -> Optional[bool]:
    return None if names is None else any(name.startswith(starts) for name in names)


def _logged(state: Any) -> Tuple[Optional[float], Optional[int]]:
    """The last learning rate that was logged, and its step."""
    for entry in reversed(getattr(state, "log_history", None) or ()):
        rate = entry.get("learning_rate")
        if isinstance(rate, (int, float)):
            return float(rate), entry.get("step")
    return None, None


def _rate(optimizer: Any) -> Optional[float]:
    groups = getattr(optimizer, "param_groups", None)
    rate = groups[0].get("lr") if groups else None
    return None if rate is None else float(rate)
