"""
Judges one record: which rule knows it, how serious it is, why, what to do.

The first rule that matches wins. What no rule knows is `unclassified` when it
came as a warning, and no warning at all when it is ordinary output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainwatch.runner.triage.index import Index
from trainwatch.runner.triage.records import Record
from trainwatch.runner.triage.rules import Rule, load

VIEW = 4096
"""Characters at each end of a long record that patterns are asked about."""
LEVELS = ("WARNING", "ERROR", "CRITICAL", "FATAL")
QUIET_LEVELS = ("INFO", "DEBUG", "NOTICE")
MAX_TEXT = 2000

_SAYS_WARNING = re.compile(
    r"(?:^|\s)(?:[Ww]arning|WARNING|WARN)\b ?[:!-]|⚠|\bNCCL WARN\b"
)


@dataclass(frozen=True)
class Judgement:
    rule: str
    """Empty when no rule knows it."""
    severity: str
    kind: str
    text: str
    why: str
    do: str
    evidence: tuple[str, ...] = ()
    judged_by: str = ""
    general: bool = False


class Engine:
    """Judges records by a fixed sequence of rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._index = Index(self.rules)

    @classmethod
    def standard(cls, extra: Path | None = None) -> Engine:
        """
        The rules that come with trainwatch, after the user's own.

        Raises:
            RuleError: the user's file is not usable.
        """
        return cls(load(extra)) if extra is not None else _standard()

    def rule_for(self, record: Record) -> Rule | None:
        """The first rule that matches."""
        text = record.text
        if len(text) > 2 * VIEW:
            text = f"{text[:VIEW]}\n{text[-VIEW:]}"
        for rule in self._index.candidates(text):
            if _matches(rule, record, text):
                return rule
        return None

    def judge(self, record: Record) -> Judgement | None:
        """The judgement, or None for ordinary output."""
        rule = self.rule_for(record)
        if rule is not None:
            if rule.severity == "not_a_warning":
                return None
            return Judgement(
                rule.id,
                rule.severity,
                rule.kind,
                shown(record),
                rule.why,
                rule.do,
                rule.evidence,
                rule.judged_by,
                rule.general,
            )
        if not is_warning(record):
            return None
        return Judgement(
            "",
            "unclassified",
            "",
            shown(record),
            "No rule knows this warning yet, so it is shown and not called harmless.",
            "Read it once; when you know what it means, mark it.",
        )


@cache
def _standard() -> Engine:
    return Engine(load())


def _matches(rule: Rule, record: Record, text: str) -> bool:
    for name, wanted in rule.where.items():
        if not wanted.search(str(getattr(record, name))):
            return False
    if rule.warned and not (is_warning(record) or _may_be_warning(record)):
        return False
    if rule.severity != "serious" and not rule.raised and record.failure:
        return False
    for key, wanted in rule.when.items():
        value = record.context.get(key)
        if value is None or not wanted.search(str(value)[:1000]):
            return False
    for wanted in rule.match:
        if not wanted.search(text):
            return False
    return rule.unless is None or not rule.unless.search(text)


def is_warning(record: Record) -> bool:
    """True when the record came as a warning, whatever it says."""
    if record.level in QUIET_LEVELS or not record.message:
        return False
    return bool(
        record.category
        or record.level in LEVELS
        or record.stream in ("warnings", "logging")
        or record.failure
        or _says_warning(record.text[:400])
    )


def _says_warning(text: str) -> bool:
    return ("arn" in text or "WARN" in text or "⚠" in text) and bool(
        _SAYS_WARNING.search(text)
    )


def _may_be_warning(record: Record) -> bool:
    """A library's line that does not show its level: transformers 5, TRL."""
    return not record.level and (
        bool(record.logger) or record.text.startswith("[RANK ")
    )


def shown(record: Record) -> str:
    """The text to show: the message without prefixes."""
    text = record.message or record.text.strip()
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"


def fold_key(judgement: Judgement, record: Record) -> str:
    """The family: the rule, or the saying with its particulars taken out."""
    if judgement.rule and not judgement.general:
        return judgement.rule
    said = template(record.headline or record.text[:300])
    return f"{judgement.rule or 'text'}:{said}"


_PARTICULARS = (
    (re.compile(r"(?<!\w)'[^'\n]{0,300}'|(?<!\w)\"[^\"\n]{0,300}\""), "Q"),
    (re.compile(r"(?:https?://|[~.]{0,2}/)[^\s,;:)\]]{2,300}"), "P"),
    (re.compile(r"[A-Za-z]:\\[^\s,;)\]]{2,300}"), "P"),
    (re.compile(r"0x[0-9a-fA-F]{1,32}|\b[0-9a-f]{12,64}\b"), "N"),
    (re.compile(r"[-+]?\d[\d,._]{0,40}(?:e[-+]?\d{1,4})?"), "N"),
    (re.compile(r"\s{1,200}"), " "),
)


def template(text: str) -> str:
    """`text` with quotes, paths and numbers replaced, at most 300 characters."""
    text = text[:1000]
    for particular, sign in _PARTICULARS:
        text = particular.sub(sign, text)
    return text.strip()[:300]
