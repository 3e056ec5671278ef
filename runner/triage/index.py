"""
Which rules a text can match at all, found without asking each of them.

Every literal that a rule needs is filed under four of its characters. A text is
looked up by its own runs of four characters, and only literals that can be in it
are searched. Lines that differ in their digits only share one answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trainwatch.runner.triage.rules import Rule

GRAM = 4
LONG = 1500
"""Above this length every literal is searched instead."""
MAX_KEPT = 4096
"""Answers kept, each for a text of at most `MAX_KEPT_CHARACTERS`."""
MAX_KEPT_CHARACTERS = 400

_DIGITS = str.maketrans("123456789", "000000000")


class Index:
    """Finds the candidates among a fixed sequence of rules, in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._always: list[int] = []
        self._filed: dict[str, list[tuple[str, int]]] = {}
        self._short: list[tuple[str, int]] = []
        self._kept: dict[str, tuple[Rule, ...]] = {}
        common: Counter[str] = Counter()
        for rule in self._rules:
            for example in rule.examples:
                common.update(_grams(example["text"].translate(_DIGITS)))
        for number, rule in enumerate(self._rules):
            if not rule.needs:
                self._always.append(number)
            for literal in rule.needs:
                plain = literal.translate(_DIGITS)
                if len(plain) < GRAM:
                    self._short.append((plain, number))
                    continue
                rarest = min(sorted(_grams(plain)), key=lambda gram: common[gram])
                self._filed.setdefault(rarest, []).append((plain, number))

    def candidates(self, text: str) -> tuple[Rule, ...]:
        """The rules one of whose literals stands in `text`, digits aside."""
        text = text.translate(_DIGITS)
        known = self._kept.get(text)
        if known is not None:
            return known
        found = set(self._always)
        found.update(number for literal, number in self._short if literal in text)
        if len(text) > LONG:
            for filed in self._filed.values():
                found.update(number for literal, number in filed if literal in text)
        else:
            for gram in _grams(text) & self._filed.keys():
                for literal, number in self._filed[gram]:
                    if number not in found and literal in text:
                        found.add(number)
        rules = tuple(self._rules[number] for number in sorted(found))
        if len(text) <= MAX_KEPT_CHARACTERS:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[text] = rules
        return rules


def _grams(text: str) -> set[str]:
    return {text[i : i + GRAM] for i in range(len(text) - GRAM + 1)}
