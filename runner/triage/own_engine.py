"""The rules of trainwatch with a user's own asked before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainwatch.runner.triage.engine import Engine, Judgement
from trainwatch.runner.triage.own import Own
from trainwatch.runner.triage.records import Record
from trainwatch.runner.triage.rules import Rule


@dataclass(frozen=True)
class OwnJudgement(Judgement):
    """By a rule of the user's."""

    was: str = ""
    """What the rules of trainwatch say, where they say otherwise."""


class OwnEngine(Engine):
    """Two engines as one: the user's rules, then those of trainwatch."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._theirs = Engine.standard()
        self._mine = Engine(rules)
        self.rules = (*rules, *self._theirs.rules)

    def rule_for(self, record: Record) -> Rule | None:
        return self._mine.rule_for(record) or self._theirs.rule_for(record)

    def judge(self, record: Record) -> Judgement | None:
        theirs = self._theirs.judge(record)
        if self._mine.rule_for(record) is None:
            return theirs
        mine = self._mine.judge(record)
        was = theirs.severity if theirs else ""
        if mine is None:
            if theirs is None or was != "serious":
                return None
            return OwnJudgement(**{**vars(theirs), "severity": "harmless"}, was=was)
        return OwnJudgement(**vars(mine), was=was if was != mine.severity else "")


def engine(own: Own) -> Engine:
    """The rules to judge with, for this user."""
    return OwnEngine(own.rules) if own.rules else Engine.standard()
