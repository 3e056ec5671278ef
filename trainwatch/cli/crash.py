"""Our own bug: what happened goes to a file, one line to the person."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from collections.abc import Sequence

from trainwatch import __version__
from trainwatch.runner.redact import redact, redact_argv


def report(words: Sequence[str]) -> str:
    """Write the current exception's crash log; the line that names it."""
    text = (
        f"trainwatch {__version__}, Python {platform.python_version()}, "
        f"{platform.platform()}\n{' '.join(redact_argv(words))}\n\n"
        f"{redact(traceback.format_exc())}"
    )
    descriptor, path = tempfile.mkstemp(prefix="trainwatch-crash-", suffix=".log")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    last = traceback.format_exc().strip().splitlines()[-1]
    return f"this is a bug of trainwatch ({last}); the details are in {path}"
