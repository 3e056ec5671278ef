"""
The warnings of a run in order and in words, for the screen, plain text and files.

Pure but for `export`, which writes a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.files import write_atomically
from trainwatch.runner.state import SEVERITIES, RunState, TriagedWarning
from trainwatch.runner.text import plain

HEAD = "# Warnings of run "
SCHEMA_MARK = '{\n "schema": '
SHOWN = tuple(s for s in SEVERITIES if s != "not_a_warning")


def ordered(warnings: Iterable[TriagedWarning]) -> list[TriagedWarning]:
    """Worst first; in a severity the new ones first, then by age, known ones last."""
    places = {severity: place for place, severity in enumerate(SEVERITIES)}
    return sorted(
        warnings,
        key=lambda w: (
            places.get(w.severity, len(places)),
            not is_new(w),
            w.known,
            -w.first_seen,
            w.key,
        ),
    )


def is_new(warning: TriagedWarning) -> bool:
    """No earlier good run of the script said it, nor does the user know it."""
    return warning.new is True and not warning.known


def counts(warnings: Iterable[TriagedWarning]) -> dict[str, int]:
    """Families of each severity."""
    found = dict.fromkeys(SHOWN, 0)
    for warning in warnings:
        found[warning.severity] = found.get(warning.severity, 0) + 1
    return found


def notes(warning: TriagedWarning) -> tuple[str, ...]:
    """What is to be said of a severity, and of how new it is."""
    said = []
    if warning.by == "yours":
        said.append(f"yours (was {warning.was})" if warning.was else "yours")
    elif warning.by == "evidence" and warning.was:
        said.append(f"was {warning.was}, changed by evidence")
    if is_new(warning):
        said.append("new since the last good run")
    elif warning.known:
        said.append("known to you")
    elif warning.new is False:
        said.append("also in the last good runs")
    return tuple(said)


def facts(warning: TriagedWarning) -> list[tuple[str, str]]:
    """(label, text): how often, when, and where it came from."""
    steps = ""
    if warning.first_step is not None:
        steps = f"{warning.first_step:,}"
        if warning.last_step not in (None, warning.first_step):
            steps += f" to {warning.last_step:,}"
    told = [
        ("seen", f"{warning.count:,} times" if warning.count != 1 else "once"),
        ("steps", steps),
        ("phase", warning.phase),
        ("ranks", ", ".join(map(str, warning.ranks))),
        ("from", place(warning.origin)),
        ("logger", warning.logger if warning.logger != warning.origin else ""),
        ("by way of", warning.source),
        ("rule", warning.rule),
    ]
    return [(label, text) for label, text in told if text]


def place(origin: str) -> str:
    """`…/site-packages/torch/x.py:3` as `torch/x.py:3`."""
    for folder in ("/site-packages/", "/dist-packages/"):
        if folder in origin:
            return origin.rpartition(folder)[2]
    return origin


def news(state: RunState) -> str:
    """How many families are new, as one sentence; "" where nobody can say."""
    warnings = state.warnings.values()
    run = next((w.good_run for w in warnings if w.good_run), "")
    if not run:
        return ""
    count = sum(is_new(w) for w in warnings)
    return f"{count or 'none'} new since the last good run ({run})"


def markdown(state: RunState) -> str:
    """All warnings, as a page to read or to attach."""
    run = state.run
    lines = [
        f"{HEAD}{_inline(run.name or run.id)}",
        "",
        f"{_inline(' '.join(run.argv))} ({run.status}, run {run.id})",
    ]
    if said := news(state):
        lines += ["", said[:1].upper() + said[1:] + "."]
    found = ordered(state.warnings.values())
    if not found:
        lines += ["", "No warnings."]
    number = counts(found)
    for severity in SHOWN:
        if not number.get(severity):
            continue
        lines += ["", f"## {severity} ({number[severity]})"]
        for warning in found:
            if warning.severity == severity:
                lines += _entry(warning)
    return "\n".join(lines) + "\n"


def _entry(warning: TriagedWarning) -> list[str]:
    text = [plain(line) for line in warning.text.strip().splitlines()] or [warning.rule]
    fence = "`" * max(3, *(_run_of(line) + 1 for line in text))
    title = text[0] if len(text[0]) <= 120 else text[0][:119] + "…"
    lines = ["", f"### {_inline(title)}", ""]
    if said := notes(warning):
        lines += [", ".join(said) + ".", ""]
    lines += [fence, *text, fence, ""]
    for label, what in (
        ("Why", warning.why),
        ("Do", warning.do),
        ("Evidence", warning.evidence),
    ):
        if what:
            lines.append(f"- {label}: {_inline(what)}")
    lines += [
        f"- {label.capitalize()}: {_inline(what)}" for label, what in facts(warning)
    ]
    return lines


def _inline(text: str) -> str:
    """One line whose marks are no markup."""
    bare = plain(" ".join(text.split()))
    for sign in "\\`*_<>[]|#":
        bare = bare.replace(sign, f"\\{sign}") if sign in bare else bare
    return bare


def _run_of(line: str) -> int:
    """The longest run of backticks in `line`."""
    longest = here = 0
    for character in line:
        here = here + 1 if character == "`" else 0
        longest = max(longest, here)
    return longest


def export(state: RunState, document: Mapping[str, Any], path: Path) -> Path:
    """
    Write the warnings: Markdown, or `document` where the name ends with `.json`.

    Raises:
        RefusedError: the name ends otherwise, or another file has it.
        OSError: it cannot be written.
    """
    path = path.expanduser()
    if path.suffix not in (".md", ".json"):
        raise RefusedError(f"{path.name} ends with neither .md nor .json")
    as_json = path.suffix == ".json"
    text = json.dumps(document, indent=1) + "\n" if as_json else markdown(state)
    mark = SCHEMA_MARK if as_json else HEAD
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            if file.read(len(mark)) != mark:
                raise RefusedError(f"{path} is there and is no export of ours")
    except FileNotFoundError:
        pass  # The usual case: there is nothing to lose.
    write_atomically(path, text.encode("utf-8", "replace"), 0o644)
    return path
