"""
Why Python cannot read a script: the slip behind a SyntaxError.

Each repair that could be meant is tried on a copy of the text. One that lets Python
read on is the evidence; without any, the error is told as Python tells it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.repairs import REPAIRS, Repair

LONGEST = 2 << 20
"""Characters; a longer text is not read."""
SHOWN = 60


@dataclass(frozen=True)
class Fault:
    """Where and why reading stopped."""

    line: int
    message: str
    kind: str = "SyntaxError"


def fault(text: str) -> Fault | None:
    """What Python, the one that runs us, says of `text`; None where it reads it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return Fault(error.lineno or 1, error.msg or "", type(error).__name__)
    except (ValueError, MemoryError, RecursionError) as error:
        return Fault(1, str(error))
    return None


def explain(text: str, found: Fault, name: str) -> Accident:
    """
    The slip behind `found`.

    Args:
        text: the whole script.
        found: what Python said of it.
        name: how the script is called in sentences.
    """
    lines = text.split("\n")
    number = min(max(found.line, 1), len(lines))
    said = f"{found.kind}: {found.message}, line {found.line}"
    if fault(text) is None:
        return Accident(
            "shell.python-version",
            f"line {found.line} of {name} is written for another Python than runs it",
            "Run it with a newer Python, or write the line as this one reads it.",
            (said, f"line {number}: {lines[number - 1].strip()[:SHOWN]}"),
            kind="incompatibility",
            status="likely",
        )
    for place in (number, number - 1):
        for repair in REPAIRS if place else ():
            mended = repair.mend(lines, place)
            if mended is None or not _reads_on(mended, found):
                continue
            return _accident(repair, lines, place, name, said)
    shown = lines[number - 1].strip()[:SHOWN]
    return Accident(
        "shell.syntax",
        f"Python cannot read line {found.line} of {name}: {found.message}",
        f"Repair line {found.line}, or the one above it.",
        (f"line {number}: {shown}",) if shown else (),
    )


def _accident(
    repair: Repair, lines: Sequence[str], place: int, name: str, said: str
) -> Accident:
    line = lines[place - 1]
    what = repair.what(line)
    return Accident(
        repair.rule,
        f"{what} on line {place} of {name}",
        repair.do.format(line=place, name=name),
        (said, f"line {place}: {line.strip()[:SHOWN]}"),
        status="established" if repair.certain else "likely",
    )


def _reads_on(mended: list[str], found: Fault) -> bool:
    """True where the repair takes this fault away, wherever the next one is."""
    again = fault("\n".join(mended))
    return again is None or again.line > found.line
