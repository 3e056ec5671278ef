"""
A Mac does not go to sleep while a run lives; its display may.

`caffeinate -i` holds off idle sleep, `-w PID` ends it with that process. Never `-d`:
a display that is kept on went with reboots by the GPU's watchdog (PortOS#1750).
Not run on hardware.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from trainwatch.runner.files import complain


def keep_awake(pid: int, platform: str = sys.platform) -> int | None:
    """
    Keep the machine awake until process `pid` ends.

    Returns:
        The process that does it; None elsewhere than on macOS, or without it.
    """
    program = shutil.which("caffeinate") if platform == "darwin" else None
    if program is None:
        return None
    try:
        started = subprocess.Popen(
            [program, "-i", "-w", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        complain(f"caffeinate: {error}")
        return None
    started.returncode = 0  # It ends with the run, and may outlive us.
    return started.pid
