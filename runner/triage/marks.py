"""
Marks: what the user thinks of a family of warnings, for themselves.

A mark changes what its reader sees, never what the log of a run says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.text import plain
from trainwatch.runner.triage.rules import SEVERITIES

_KEYS = {"family", "severity", "known", "was", "text"}


@dataclass(frozen=True)
class Mark:
    """What the user thinks of one family."""

    family: str
    severity: str = ""
    """Empty leaves it as it is."""
    known: bool = False
    was: str = ""
    """The severity that was judged; a worse one sets the mark aside."""
    text: str = ""


def from_table(table: Any) -> Mark:
    """
    The mark of a `[[mark]]` table.

    Raises:
        ValueError: saying what is wrong with it.
    """
    unknown = set(table) - _KEYS
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    family = table.get("family")
    if not isinstance(family, str) or not family:
        raise ValueError("family is missing")
    for key in ("severity", "was"):
        if table.get(key, "") not in ("", *SEVERITIES[:-1]):
            raise ValueError(f"{key} {table[key]!r} is none of {SEVERITIES[:-1]}")
    if not isinstance(table.get("known", False), bool):
        raise ValueError("known is neither true nor false")
    if not table.get("severity") and not table.get("known"):
        raise ValueError("neither severity nor known is set")
    return Mark(
        family,
        table.get("severity", ""),
        table.get("known", False),
        table.get("was", ""),
        str(table.get("text", "")),
    )


def to_table(mark: Mark) -> str:
    """`mark` as a `[[mark]]` table."""
    lines = ["[[mark]]", f"family = {_quoted(mark.family)}"]
    if mark.severity:
        lines.append(f'severity = "{mark.severity}"')
    if mark.known:
        lines.append("known = true")
    if mark.was:
        lines.append(f'was = "{mark.was}"')
    if mark.text:
        lines.append(f"text = {_quoted(mark.text.partition(chr(10))[0][:200])}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML text; what cannot stand in one is left out."""
    clean = plain(text).encode("utf-8", "ignore").decode()
    return json.dumps(clean, ensure_ascii=False)


def marked(mark: Mark | None, severity: str) -> tuple[str, bool]:
    """
    (severity, holds) of a family that is `severity` without the mark.

    A mark says nothing about something worse than what was marked.
    """
    if mark is None:
        return severity, False
    if mark.was and SEVERITIES.index(severity) < SEVERITIES.index(mark.was):
        return severity, False
    return mark.severity or severity, True


def apply(
    warnings: Mapping[str, TriagedWarning], marks: Mapping[str, Mark]
) -> Mapping[str, TriagedWarning]:
    """`warnings` as their reader has marked them; the same object where nothing is."""
    changed: dict[str, TriagedWarning] = {}
    for key, warning in warnings.items():
        severity, holds = marked(marks.get(key), warning.severity)
        if not holds:
            continue
        known = marks[key].known
        if severity == warning.severity:
            changed[key] = replace(warning, known=known)
        else:
            changed[key] = replace(
                warning,
                severity=severity,
                was=warning.severity,
                by="yours",
                known=known,
            )
    return {**warnings, **changed} if changed else warnings
