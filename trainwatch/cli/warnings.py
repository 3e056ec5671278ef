"""`review` and `triage`: warnings with their severity, why, and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from trainwatch.runner.document import SCHEMA, warnings_document
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import find_run
from trainwatch.runner.triage.batch import triage_item, triage_text
from trainwatch.runner.view import look

GLYPHS = {
    "serious": "✖",
    "attention": "▲",
    "cleanup": "○",
    "unclassified": "?",
    "harmless": "·",
}


def review(options: argparse.Namespace) -> int:
    state = look(find_run(options.run)).state
    document = warnings_document(state)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "run": state.run.id, **document}, indent=1))
    else:
        _print(document["items"], document["counts"], f"run {state.run.name}")
    return 0


def triage(options: argparse.Namespace) -> int:
    text = _text(options.file)
    if options.items:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                print(json.dumps(triage_item(_item(line, number))))
        return 0
    items = [vars(item) for item in triage_text(text)]
    counts = {severity: 0 for severity in GLYPHS}
    for item in items:
        counts[item["severity"]] = counts.get(item["severity"], 0) + 1
    if options.json:
        document = {"schema": SCHEMA, "counts": counts, "items": items}
        print(json.dumps(document, indent=1, default=list))
    else:
        _print(items, counts, "the log" if options.file == "-" else options.file)
    return 0


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}") from None


def _item(line: str, number: int) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except ValueError:
        raise RefusedError(f"line {number} is not JSON") from None
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise RefusedError(f"line {number} is not an item with a text")
    return item


def _print(items: list[dict[str, Any]], counts: dict[str, int], where: str) -> None:
    if not items:
        print(f"no warnings in {where}")
        return
    print("  ".join(f"{GLYPHS[s]} {n} {s}" for s, n in counts.items() if s in GLYPHS))
    for item in items:
        lines = item["text"].strip().splitlines() or [item["rule"]]
        print(f"\n{GLYPHS.get(item['severity'], '?')} {item['severity']}  {lines[0]}")
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
