"""
The probes, copied to where a training process can import them.

The training interpreter is often another environment than ours, and a package
of our name on its path could clash with the user's own. So the folder is staged
under a private name, beside a `sitecustomize` that arms it. One stage serves
every run of the same probes: Python keeps its compiled files there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from trainwatch.runner.home import home

PACKAGE = "_trainwatch_probes"
SOURCE = Path(__file__).parent.parent / "probes"


def _source() -> Path:
    if SOURCE.is_dir():
        return SOURCE
    # Installed editable: runner/ is imported from its own folder.
    import trainwatch

    return Path(trainwatch.__file__).parent / "probes"


def stage() -> Path:
    """
    The folder to put first on PYTHONPATH, made when it is not there yet.

    Raises:
        OSError: it cannot be written.
    """
    source = _source()
    modules = sorted(source.glob("*.py"))
    digest = hashlib.sha256()
    for module in modules:
        digest.update(module.name.encode() + b"\0" + module.read_bytes())
    target = home() / "stage" / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
    package = building / PACKAGE
    package.mkdir()
    for module in modules:
        shutil.copyfile(module, package / module.name)
    shutil.copyfile(source / "shim.py", building / "sitecustomize.py")
    try:
        os.rename(building, target)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        if not target.is_dir():
            raise
    return target
