"""The Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def other_pythons() -> list[str]:
    """One working interpreter of each other version that is installed here."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in range(9, 15):
        name = f"python3.{minor}"
        known = [shutil.which(name), *pyenv.glob(f"3.{minor}.*/bin/{name}")]
        for path in known:
            if minor != sys.version_info.minor and path and works(path):
                found.append(os.fspath(path))
                break
    return found


def works(path: str | Path) -> bool:
    """Not a shim for a version that is not installed."""
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
