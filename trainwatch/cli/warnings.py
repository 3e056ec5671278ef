"""`review` and `triage`: warnings with their severity, why, and what to do."""

from __future__ import annotations

import argparse
import codecs
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainwatch.runner.document import SCHEMA, review_document
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import find_run
from trainwatch.runner.review import counts, export, facts, news, notes, ordered
from trainwatch.runner.state import RunState
from trainwatch.runner.text import plain
from trainwatch.runner.triage import own
from trainwatch.runner.triage.batch import triage_item, triage_text
from trainwatch.runner.triage.own_engine import engine
from trainwatch.runner.view import look

PIECE = 256 * 1024
"""Bytes of a log that are read at a time."""
GLYPHS = {
    "serious": "✖",
    "attention": "▲",
    "cleanup": "○",
    "unclassified": "?",
    "harmless": "·",
}
TEXT_LINES = 6
"""Lines of one warning's text that are printed; `--json` has all."""


def review(options: argparse.Namespace) -> int:
    view = look(find_run(options.run))
    state = view.state
    if options.output:
        written = export(state, review_document(state), Path(options.output))
        print(f"written to {written}")
    elif options.json:
        print(json.dumps(review_document(state), indent=1))
    else:
        print("\n".join(_review_lines(state)))
    _complain(view.problems)
    return 0


def _review_lines(state: RunState) -> list[str]:
    found = ordered(state.warnings.values())
    if not found:
        return [f"no warnings in run {state.run.name or state.run.id}"]
    lines = [_counts(counts(found))]
    if said := news(state):
        lines.append(said)
    for warning in found:
        glyph = GLYPHS.get(warning.severity, "?")
        told = "  ".join((warning.severity, *(f"({note})" for note in notes(warning))))
        lines += ["", f"{glyph} {told}"]
        text = warning.text.strip().splitlines() or [warning.rule]
        lines += [f"    {plain(line)}" for line in text[:TEXT_LINES]]
        if len(text) > TEXT_LINES:
            lines.append(f"    … {len(text) - TEXT_LINES} more lines")
        for label, what in (
            ("why", warning.why),
            ("do", warning.do),
            ("evidence", warning.evidence),
        ):
            if what:
                lines.append(f"    {label + ':':<10}{plain(what)}")
        where = ", ".join(
            text if label in ("seen", "from") else f"{label} {text}"
            for label, text in facts(warning)
        )
        lines.append(f"    {'where:':<10}{plain(where)}")
    return lines


def _counts(found: dict[str, int]) -> str:
    return "  ".join(f"{GLYPHS[s]} {n} {s}" for s, n in found.items() if s in GLYPHS)


def _complain(problems: Sequence[str]) -> None:
    """What is wrong with the user's own file of rules, apart from the answer."""
    for line in problems:
        print(line, file=sys.stderr)


def triage(options: argparse.Namespace) -> int:
    mine = own.read(own.own_file())
    rules = engine(mine)
    _complain(mine.said(own.own_file()))
    if options.items:
        text = "".join(_pieces(options.file))
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                print(json.dumps(triage_item(_item(line, number), rules)))
        return 0
    pieces = _pieces(options.file)
    items = [vars(item) for item in triage_text(pieces, rules, marks=mine.marks)]
    found = {severity: 0 for severity in GLYPHS}
    for item in items:
        found[item["severity"]] = found.get(item["severity"], 0) + 1
    if options.json:
        document = {"schema": SCHEMA, "counts": found, "items": items}
        print(json.dumps(document, indent=1, default=list))
    else:
        _print(items, found, "the log" if options.file == "-" else options.file)
    return 0


def _pieces(file: str) -> Iterator[str]:
    """The text of `file`, `-` for stdin, a piece at a time; bad bytes are marked."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as source:
            while data := source.read(PIECE):
                yield decoder.decode(data)
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}") from None
    yield decoder.decode(b"", final=True)


def _item(line: str, number: int) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except ValueError:
        raise RefusedError(f"line {number} is not JSON") from None
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise RefusedError(f"line {number} is not an item with a text")
    return item


def _print(items: list[dict[str, Any]], found: dict[str, int], where: str) -> None:
    if not items:
        print(f"no warnings in {where}")
        return
    print(_counts(found))
    for item in items:
        lines = item["text"].strip().splitlines() or [item["rule"]]
        was = f" (was {item['was']})" if item["was"] else ""
        note = f"  (yours{was})" if item["by"] == "yours" else ""
        glyph = GLYPHS.get(item["severity"], "?")
        print(f"\n{glyph} {item['severity']}{note}  {lines[0]}")
        for line in lines[1:6]:
            print(f"    {line}")
        if len(lines) > 6:
            print(f"    … {len(lines) - 6} more lines")
        facts = [f"x{item['count']}"]
        if item.get("phase"):
            facts.append(f"in {item['phase']}")
        if item.get("first_step") is not None:
            facts.append(f"from step {item['first_step']}")
        if item.get("origin"):
            facts.append(item["origin"])
        print(f"    {', '.join(facts)}")
        if item["why"]:
            print(f"    why: {item['why']}")
        if item["do"]:
            print(f"    do:  {item['do']}")
