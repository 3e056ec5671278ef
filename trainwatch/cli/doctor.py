"""`doctor`: versions that do not fit together, and this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any

from trainwatch.runner.doctor import examine
from trainwatch.runner.text import plain, size

GLYPHS = {"serious": "✖", "attention": "▲"}
FOUND_SERIOUS = 1


def doctor(options: argparse.Namespace) -> int:
    answer = examine(options.python)
    if options.json:
        print(json.dumps(answer, indent=1))
    else:
        print(plain_lines(answer))
    found = [*answer["misfits"], *answer["memory"]["notes"]]
    serious = any(each["severity"] == "serious" for each in found)
    return FOUND_SERIOUS if serious else 0


def plain_lines(answer: dict[str, Any]) -> str:
    """The answer as text."""
    python, machine = answer["python"], answer["machine"]
    lines = [f"Python {python['version']}  {python['executable']}"]
    known = [f"{name} {v}" for name, v in answer["packages"].items() if v]
    lines.append("  ".join(known) or "none of the training packages is installed")
    lines.append(
        f"{machine['cores']} cores, {size(machine['ram'])} RAM"
        + (f" (limit {size(machine['ram_limit'])})" if machine["ram_limit"] else "")
        + f", {size(machine['disk_free'])} free here"
        + f", {size(machine['home_disk_free'])} free at {machine['home']}"
    )
    limits = [
        f"{limit['name']} {size(limit['bytes'])}"
        for limit in answer["memory"]["limits"]
        if limit["bytes"] is not None
    ]
    lines.append(f"memory of {answer['memory']['device']}: {', '.join(limits)}")
    for note in answer["memory"]["notes"]:
        glyph = GLYPHS.get(note["severity"], "·")
        lines += [
            "",
            f"{glyph} {note['severity']}  {note['summary']}",
            f"    do:       {note['do']}",
        ]
    if not answer["misfits"]:
        lines += ["", "No versions that are known not to fit together."]
    for misfit in answer["misfits"]:
        severity = misfit["severity"]
        versions = ", ".join(f"{name} {v}" for name, v in misfit["versions"].items())
        lines += [
            "",
            f"{GLYPHS.get(severity, '?')} {severity}  {versions}",
            f"    why:      {misfit['why']}",
            f"    do:       {misfit['do']}",
            f"    evidence: {'; '.join(misfit['evidence'])}",
        ]
    return "\n".join(plain(line) for line in lines)
