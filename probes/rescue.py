"""
The checkpoint that we write for a plain loop when asked.

It holds the state of model and optimizer and the step. The user's script does
not know it, so nothing resumes from it by itself.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .events import CheckpointSaved
from .model import unwrapped

NAME = "rescue.pt"


@dataclass(frozen=True)
class Outcome:
    outcome: str
    detail: str = ""
    path: str = ""
    bytes: Optional[int] = None
    event: Optional[CheckpointSaved] = None
    error: Optional[BaseException] = None


def save(
    torch: Any,
    models: List[Any],
    optimizer: Any,
    step: int,
    folder: str,
    rank: Optional[int],
) -> Outcome:
    """Write the rescue checkpoint into `folder`; nothing half-written stays."""
    if not folder:
        return Outcome("refused", "no folder given")
    if not models:
        return Outcome("refused", "the model of this loop is not known")
    name = NAME
    if rank:
        if type(models[0]).__name__ == "DistributedDataParallel":
            return Outcome("done", "rank 0 writes it")
        name = "rescue-rank%d.pt" % rank
    path = os.path.join(folder, name)
    began = time.monotonic()
    content: Dict[str, Any] = {"step": step, "optimizer": optimizer.state_dict()}
    for index, model in enumerate(models):
        key = "model_%d" % index if index else "model"
        content[key] = unwrapped(model).state_dict()
    try:
        os.makedirs(folder, exist_ok=True)
        torch.save(content, path + ".tmp")
        size = os.path.getsize(path + ".tmp")
        os.replace(path + ".tmp", path)
    except Exception as error:
        try:
            os.unlink(path + ".tmp")
        except OSError:
            pass
        return Outcome("failed", "%s: %s" % (type(error).__name__, error), error=error)
    seconds = round(time.monotonic() - began, 6)
    event = CheckpointSaved(path, step, seconds, size, True)
    return Outcome("done", "", path, size, event)
