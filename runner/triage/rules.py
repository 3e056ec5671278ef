"""
Rules as data: what a warning looks like, what it means, what to do about it.

A rule is a `[[rule]]` table of a TOML file. Its patterns are checked when they
are loaded: a pattern whose time could grow faster than the text is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SEVERITIES = (
    "serious",
    "attention",
    "unclassified",
    "cleanup",
    "harmless",
    "not_a_warning",
)
"""Worst first. `unclassified` stands above what is known to be of no harm."""
KINDS = (
    "",
    "slow",
    "incompatibility",
    "resource",
    "shell",
    "deadlock",
    "data",
    "numeric",
    "distributed",
    "io",
)
TOPICS = (
    "shell",
    "memory",
    "incompatibility",
    "distributed",
    "data",
    "numeric",
    "trainer",
    "generation",
    "io",
    "deprecations",
    "noise",
    "families",
)
"""The rule files in the order they are asked; the first match wins."""
MAX_WORK = 10_000
"""What the limits of the repetitions in one pattern may multiply to."""

_TEXTS = ("id", "severity", "kind", "why", "do", "versions", "unless", "judged_by")
_FLAGS = ("general", "warned", "raised")
_FIELDS = ("logger", "category", "stream", "level")
_LISTS = ("needs", "match", "evidence", "examples", "not_examples")


class RuleError(ValueError):
    """A rule file that cannot be used; says which file and which rule."""


@dataclass(frozen=True)
class Rule:
    id: str
    severity: str
    kind: str = ""
    needs: tuple[str, ...] = ()
    """At least one of these stands in the text; asked before any pattern."""
    match: tuple[re.Pattern[str], ...] = ()
    """All of these are found in the text."""
    unless: re.Pattern[str] | None = None
    where: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    """Pattern by field of the record: logger, category, stream, level."""
    when: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    """Pattern by key of the record's context; a missing key is no match."""
    why: str = ""
    do: str = ""
    evidence: tuple[str, ...] = ()
    versions: str = ""
    judged_by: str = ""
    """The evidence of a run that can change the severity, see `evidence.py`."""
    general: bool = False
    """It knows a family of texts; each text folds by itself."""
    warned: bool = False
    """Only for what came as a warning; ordinary output is not asked."""
    raised: bool = False
    """It may answer an exception although it is not `serious`."""
    examples: tuple[Mapping[str, Any], ...] = ()
    """Texts that this rule must win, with `text` and fields of the record."""
    not_examples: tuple[Mapping[str, Any], ...] = ()


def standard() -> tuple[Rule, ...]:
    """The rules that come with trainwatch."""
    folder = resources.files("trainwatch.runner.triage") / "rules"
    found: list[Rule] = []
    for topic in TOPICS:
        name = f"{topic}.toml"
        found.extend(parse((folder / name).read_text(encoding="utf-8"), name))
    _unique(found)
    return tuple(found)


def load(extra: Path | None = None) -> tuple[Rule, ...]:
    """
    The user's own rules from `extra`, if given, then the standard rules.

    Raises:
        RuleError: a file cannot be read, is not TOML, or holds a bad rule.
    """
    own: tuple[Rule, ...] = ()
    if extra is not None:
        try:
            text = extra.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"{extra}: {error}") from None
        own = tuple(replace(rule, raised=True) for rule in parse(text, str(extra)))
    rules = (*own, *standard())
    _unique(rules)
    return rules


def parse(text: str, name: str) -> tuple[Rule, ...]:
    """
    The rules of one TOML text.

    Raises:
        RuleError: naming the file `name` and the rule.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{name}: {error}") from None
    tables = data.get("rule", [])
    unknown = set(data) - {"rule"}
    if unknown or not isinstance(tables, list):
        raise RuleError(f"{name}: only [[rule]] tables are known, not {sorted(data)}")
    found = []
    for number, table in enumerate(tables, 1):
        label = f"{name}: rule {number}"
        if isinstance(table, dict) and isinstance(table.get("id"), str):
            label = f"{name}: rule {table['id']!r}"
        try:
            found.append(_rule(table))
        except (ValueError, TypeError, re.error) as error:
            raise RuleError(f"{label}: {error}") from None
    return tuple(found)


def _rule(table: Any) -> Rule:
    if not isinstance(table, dict):
        raise ValueError("not a table")
    unknown = set(table) - {*_TEXTS, *_FLAGS, *_FIELDS, *_LISTS, "when"}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    for key in ("id", "severity", "match", "why"):
        if not table.get(key):
            raise ValueError(f"{key} is missing")
    texts = {key: _text(table.get(key, ""), key) for key in _TEXTS}
    if texts["severity"] not in SEVERITIES:
        raise ValueError(f"severity {texts['severity']!r} is none of {SEVERITIES}")
    if texts["kind"] not in KINDS:
        raise ValueError(f"kind {texts['kind']!r} is none of {KINDS}")
    for key in _FLAGS:
        if not isinstance(table.get(key, False), bool):
            raise TypeError(f"{key} is neither true nor false")
    when = table.get("when", {})
    if not isinstance(when, dict):
        raise ValueError("when is not a table")
    return Rule(
        id=texts["id"],
        severity=texts["severity"],
        kind=texts["kind"],
        needs=tuple(_text(item, "needs") for item in _listed(table, "needs")),
        match=tuple(pattern(item) for item in _listed(table, "match")),
        unless=pattern(texts["unless"]) if texts["unless"] else None,
        where={key: pattern(table[key]) for key in _FIELDS if key in table},
        when={key: pattern(value) for key, value in when.items()},
        why=texts["why"],
        do=texts["do"],
        evidence=tuple(_text(item, "evidence") for item in _listed(table, "evidence")),
        versions=texts["versions"],
        judged_by=texts["judged_by"],
        general=table.get("general", False),
        warned=table.get("warned", False),
        raised=table.get("raised", False),
        examples=tuple(_example(item) for item in _listed(table, "examples")),
        not_examples=tuple(_example(item) for item in _listed(table, "not_examples")),
    )


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value


def _listed(table: dict[str, Any], key: str) -> list[Any]:
    value = table.get(key, [])
    return value if isinstance(value, list) else [value]


def _example(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise TypeError("an example is a text, or a table with text")
    return value


def _unique(rules: Iterable[Rule]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise RuleError(f"rule {rule.id!r} is there twice")
        seen.add(rule.id)


_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}")


def pattern(source: Any) -> re.Pattern[str]:
    """
    The compiled pattern; `^` and `$` match at every line.

    Raises:
        ValueError: not a pattern, or one that may run away: a repetition without
            a limit, a repeated group, or limits whose product is above
            `MAX_WORK`.
    """
    if not isinstance(source, str):
        raise ValueError("a pattern is not a text")
    try:
        compiled = re.compile(source, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"pattern {source!r}: {error}") from None
    work = _work(source)
    if work > MAX_WORK:
        raise ValueError(f"pattern {source!r}: limits multiply to {work}")
    return compiled


def _work(source: str) -> int:
    """
    What the repetitions can multiply to: products along a sequence, sums over
    alternatives.
    """
    totals = [0]
    products = [1]
    position = 0
    previous = ""
    while position < len(source):
        here = source[position]
        if here == "\\":
            position += 1
            previous = "\\"
        elif here == "[":
            position = _set_end(source, position)
            previous = "]"
        elif here == "(":
            totals.append(0)
            products.append(1)
            previous = here
        elif here == "|":
            totals[-1] += products[-1] if products[-1] > 1 else 0
            products[-1] = 1
            previous = here
        elif here == ")" and len(totals) > 1:
            last = products.pop()
            inner = totals.pop() + (last if last > 1 else 0)
            products[-1] *= max(1, inner)
            previous = here
        elif here in "*+" and not (here == "+" and previous == "}"):
            raise ValueError(f"pattern {source!r}: give {here} a limit, as in {{0,80}}")
        elif here == "{" and (found := _REPEAT.match(source, position)):
            if previous == ")":
                raise ValueError(f"pattern {source!r}: a group is repeated")
            if found[2] and not found[3]:
                raise ValueError(f"pattern {source!r}: give {found[0]} a limit")
            if found[2]:
                products[-1] *= max(1, int(found[3]) - int(found[1] or 0))
            position = found.end() - 1
            previous = "}"
        else:
            previous = here
        position += 1
    return totals[0] + products[0]


def _set_end(source: str, position: int) -> int:
    """Where the set that begins at `position` ends. A leading ] is a member."""
    position += 1
    if source[position : position + 1] == "^":
        position += 1
    if source[position : position + 1] == "]":
        position += 1
    while position < len(source) and source[position] != "]":
        position += 2 if source[position] == "\\" else 1
    return position
