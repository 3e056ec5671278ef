"""Slips in a script of the shell, and in the first line of any script."""

from __future__ import annotations

import re

from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.repairs import DASHES, QUOTES

_HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)([A-Za-z_]\w*)\2")
_BACKSLASH = re.compile(r"\\[ \t]+$")
SHELLS = ("sh", "bash", "zsh", "dash", "ksh")


def first_line(text: str, name: str) -> Accident | None:
    """What keeps the kernel from starting a script by its first line."""
    if text.startswith("\ufeff#!"):
        return Accident(
            "shell.encoding",
            f"{name} begins with a byte order mark, so its #! line is not seen",
            f"Save {name} as UTF-8 without a byte order mark.",
            ("bytes EF BB BF before #!",),
        )
    line = text.partition("\n")[0]
    if line.startswith("#!") and line.endswith("\r"):
        return Accident(
            "shell.carriage-return",
            f"{name} has Windows line ends: its #! line names no program that exists",
            f"sed -i 's/\\r$//' {name}",
            (f"line 1: {line!r}",),
        )
    if re.match(r"#!.*\bpython2(?:\.\d)?\b", line):
        return Accident(
            "shell.python2",
            f"{name} asks for Python 2 in its first line",
            "Change the first line to #!/usr/bin/env python3",
            (f"line 1: {line}",),
            severity="attention",
            status="likely",
        )
    return None


def slips(text: str, name: str) -> list[Accident]:
    """What looks wrong in a script that a shell runs."""
    found = []
    lines = text.split("\n")
    if any(line.endswith("\r") for line in lines):
        found.append(
            Accident(
                "shell.carriage-return",
                f"{name} has Windows line ends, which the shell takes for characters",
                f"sed -i 's/\\r$//' {name}",
                ("carriage returns at the ends of its lines",),
            )
        )
    end = ""
    for number, line in enumerate(lines, 1):
        if end:
            end = "" if line.strip("\t" if end[0] == "-" else "") == end[1:] else end
            continue
        opened = _HEREDOC.search(line)
        if opened and not line.lstrip().startswith("#"):
            end = (opened[1] or " ") + opened[3]
            continue
        found += _line(line.rstrip("\r"), number, name)
    if end:
        found.append(
            Accident(
                "shell.heredoc-open",
                f"the heredoc {end[1:]} of {name} has no end: what follows is not run",
                f"Put {end[1:]} alone at the very start of its line.",
                (f"no line is {end[1:]} and nothing else",),
            )
        )
    return found


def _line(line: str, number: int, name: str) -> list[Accident]:
    code = line.partition(" #")[0]
    if code.lstrip().startswith("#"):
        return []
    if _BACKSLASH.search(line):
        return [
            Accident(
                "shell.backslash",
                f"a blank follows the backslash on line {number} of {name}",
                f"Delete the blank at the end of line {number}: the next line is not "
                "part of the command.",
                (f"line {number}: {line.strip()[:60]!r}",),
            )
        ]
    words = code.split()
    if any(word[0] in DASHES and word[1:] for word in words):
        return [
            Accident(
                "shell.dash",
                f"an option begins with a typographic dash on line {number} of {name}",
                f"Retype the dashes on line {number} as --.",
                (f"line {number}: {line.strip()[:60]}",),
                status="likely",
            )
        ]
    if any(word.strip("=")[:1] in QUOTES and word[:1] != "`" for word in words if word):
        return [
            Accident(
                "shell.quotes",
                f"a typographic quote stands on line {number} of {name}",
                f"Retype the quotes on line {number} as ' or \".",
                (f"line {number}: {line.strip()[:60]}",),
                severity="attention",
                status="likely",
            )
        ]
    return []
