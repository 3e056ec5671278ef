"""
Which warnings are known: families seen in earlier good runs of the same script.

One small file per script under `known/` of the home folder. A run that finished adds
what it saw; a run that starts asks. What was serious is never taken as known: having
happened before does not make it better.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainwatch.runner.files import locked, read_json, write_json
from trainwatch.runner.state import TriagedWarning

FOLDER = "known"
SCHEMA = 1
MAX_FAMILIES = 5000
"""Families kept per script; those not seen for longest go first."""
LAUNCHERS = ("torch", "accelerate", "deepspeed")
"""Packages whose modules start a script and are none themselves."""


@dataclass(frozen=True)
class Known:
    """What earlier good runs of a script have said."""

    run: str = ""
    """The id of the last of them."""
    families: frozenset[str] = frozenset()


def script_of(argv: Sequence[str], cwd: str) -> str:
    """
    What names a script across runs: its absolute path, `-m module`, or the command.

    Launchers (`torchrun`, `accelerate launch`, `uv run`, `python`) and options are
    not part of it: the first word that is a Python file is the script.
    """
    words = list(argv)
    for place, word in enumerate(words):
        if word in ("-m", "-c") and place + 1 < len(words):
            module = words[place + 1]
            if word == "-c" or module.split(".")[0] not in LAUNCHERS:
                return f"{cwd}: {word} {module}"
        if word.endswith(".py"):
            return os.path.normpath(os.path.join(cwd, word))
    return f"{cwd}: {' '.join(words)}"


def recall(home: Path, script: str) -> Known | None:
    """What is known of `script`; None where it has no good run, or none readable."""
    try:
        document = read_json(_file(home, script))
    except (OSError, ValueError):
        return None
    families = _families(document)
    if families is None:
        return None
    return Known(str(document.get("run", "")), frozenset(families))


def remember(
    home: Path, script: str, run: str, warnings: Iterable[TriagedWarning]
) -> None:
    """
    Add the families of a run that finished.

    Two runs that end at once both get in: the file is read, merged and replaced under
    a lock. Where there are no locks the later one wins, and the file stays whole.

    Raises:
        OSError: it cannot be written.
    """
    path = _file(home, script)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_suffix(".lock")):
        try:
            before = _families(read_json(path)) or {}
        except (OSError, ValueError):
            before = {}
        seen = {w.key: run for w in warnings if w.severity != "serious"}
        families = {k: v for k, v in before.items() if k not in seen} | seen
        for key in list(families)[: max(0, len(families) - MAX_FAMILIES)]:
            del families[key]
        write_json(
            path,
            {"schema": SCHEMA, "script": script, "run": run, "families": families},
        )


def _file(home: Path, script: str) -> Path:
    name = hashlib.sha256(script.encode("utf-8", "replace")).hexdigest()[:20]
    return home / FOLDER / f"{name}.json"


def _families(document: Any) -> Mapping[str, str] | None:
    """Family -> the last run that said it; None where it is something else."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return None
    families = document.get("families")
    return families if isinstance(families, dict) else None
