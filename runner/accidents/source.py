"""Failures of the script's text: what Python cannot read, or a word that is no name."""

from __future__ import annotations

import re
from pathlib import Path

from trainwatch.runner.accidents import look
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.failure import Failure, Setting
from trainwatch.runner.accidents.script import read
from trainwatch.runner.accidents.stray import alone, opens_heredoc
from trainwatch.runner.accidents.syntax import Fault

_OF_NAME = re.compile(r"name '(\w+)' is not defined")


def syntax(failure: Failure, setting: Setting) -> Accident | None:
    where = failure.last
    if where is None:
        return None
    path = Path(setting.cwd, where[0])
    if "site-packages" in path.parts:
        return Accident(
            "shell.python-version",
            f"{look.shown(path, setting.cwd)} is written for another Python",
            "Use the Python that the package asks for, or a version of the package "
            "for this Python.",
            status="likely",
            kind="incompatibility",
        )
    script = read(path, look.shown(path, setting.cwd))
    if script is None:
        return None
    if script.undecoded:
        return look.undecoded(script)
    message = failure.said.partition(": ")[2]
    return look.unreadable(script, Fault(where[1], message, failure.kind))


def name(failure: Failure, setting: Setting) -> Accident | None:
    found, where = _OF_NAME.search(failure.message), failure.last
    if found is None or where is None:
        return None
    path = Path(setting.cwd, where[0])
    script = read(path, look.shown(path, setting.cwd))
    lines = script.text.splitlines() if script else []
    if script is None or not 0 < where[1] <= len(lines):
        return None
    line = lines[where[1] - 1].strip()
    if line == found[1] or opens_heredoc(found[1], line):
        return alone(found[1], where[1], script.name)
    return None
