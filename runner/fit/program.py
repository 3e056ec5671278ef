"""What a program of the system says."""

from __future__ import annotations

import shutil
import subprocess

WAIT_S = 5.0


def output(*command: str) -> str:
    """What `command` prints; "" where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""
