"""
The size of a file or of a folder with everything in it.
"""

from __future__ import annotations

import os
from typing import Optional


def size_of(path: str) -> Optional[int]:
    """Bytes at `path`, or None when there is nothing."""
    try:
        if not os.path.isdir(path):
            return os.path.getsize(path)
    except OSError:
        return None
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(folder, name))
            except OSError:
                continue
    return total
