"""When the trouble of a script begins: the time of a file in its working folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

FILE = "began"
CASES: dict[str, Callable[[], None]] = {}


def begins(what: str) -> None:
    print(what, flush=True)
    Path(FILE).touch()


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def main() -> None:
    """Run the case that the command line names."""
    CASES[sys.argv[1]]()
