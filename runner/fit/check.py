"""
`trainwatch fit` for a screen: the words that a person typed, and the answer as text.
"""

from __future__ import annotations

import shlex
import subprocess

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.launch import process_words

WAIT_S = 600.0


def check(words: str, cwd: str) -> str:
    """
    Args:
        words: what would follow `trainwatch fit`.

    Raises:
        RefusedError: it cannot be told; says why in one line.
    """
    try:
        ended = subprocess.run(
            [*process_words("trainwatch.__main__"), "fit", *shlex.split(words)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except ValueError as error:
        raise RefusedError(f"the words cannot be read: {error}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(str(error)) from None
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or ["it did not answer"]
        raise RefusedError(said[-1].removeprefix("trainwatch: "))
    return ended.stdout
