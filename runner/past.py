"""
How long things took in the last run of a script, kept in the home folder.

One small file per script and machine under `usual/`, with what each model taught. It
is replaced whole under a lock, so two runs that end at once both get in.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.files import complain, locked, read_json, write_json
from trainwatch.runner.state import Process, RunState
from trainwatch.runner.usual import learned, packed

FOLDER = "usual"
SCHEMA = 1
MODELS, PHASES = 8, 64
"""Kept per script; the newest."""


def machine() -> str:
    """What durations depend on and a script does not say."""
    return f"{platform.node()} {platform.machine()} {os.cpu_count()}"


def model_of(process: Process | None) -> str:
    """ "Qwen3ForCausalLM 8190735360", "" before it is known."""
    trainable = process.trainable if process else None
    return f"{trainable.model} {trainable.total}" if trainable else ""


class Memory:
    """
    Args:
        home: the home folder.
        script: what names the script across runs.
    """

    def __init__(self, home: Path, script: str) -> None:
        self.home = home
        self.script = script
        self._told: str | None = None

    def recall(self, model: str = "") -> ev.UsualRecalled | None:
        """
        What the last run of `model` taught, for "" that of the newest model; None
        where that was told before, or there is nothing.
        """
        models = _models(self.home, self.script)
        name = model or next(reversed(models), "")
        entry = models.get(name)
        if name == self._told or not isinstance(entry, dict):
            return None
        try:
            phases = {k: [float(x) for x in v] for k, v in entry["phases"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        self._told = name
        return ev.UsualRecalled(str(entry.get("run", "")), name, phases)

    def remember(self, state: RunState) -> None:
        """Keep what this run has taught, if it has; a full disk is complained of."""
        phases = learned(state.lead) if state.lead is not None else {}
        if not phases:
            return
        some = dict(list(packed(phases).items())[:PHASES])
        entry = {"run": state.run.id, "phases": some}
        try:
            _keep(self.home, self.script, model_of(state.lead), entry)
        except OSError as error:
            complain(f"{FOLDER}: {error}")


def _keep(home: Path, script: str, model: str, entry: dict[str, Any]) -> None:
    path = _file(home, script)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_suffix(".lock")):
        models = _models(home, script)
        models.pop(model, None)
        models[model] = entry
        for old in list(models)[: max(0, len(models) - MODELS)]:
            del models[old]
        write_json(path, {"schema": SCHEMA, "script": script, "models": models})


def _file(home: Path, script: str) -> Path:
    key = f"{script}\0{machine()}".encode("utf-8", "replace")
    return home / FOLDER / f"{hashlib.sha256(key).hexdigest()[:20]}.json"


def _models(home: Path, script: str) -> dict[str, Any]:
    """Model -> its entry, the newest last; empty where there is nothing readable."""
    try:
        document = read_json(_file(home, script))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    models = document.get("models")
    return dict(models) if isinstance(models, dict) else {}
