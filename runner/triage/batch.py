"""
Triage of text that is there already: whole logs, and single items.

For the command line: `trainwatch triage FILE`, and with `--items`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainwatch.runner.state import EMPTY
from trainwatch.runner.triage.cutter import Cutter
from trainwatch.runner.triage.engine import Engine, Judgement, fold_key
from trainwatch.runner.triage.evidence import Seen, rejudge
from trainwatch.runner.triage.marks import Mark, marked
from trainwatch.runner.triage.own_engine import OwnJudgement
from trainwatch.runner.triage.records import Record, read
from trainwatch.runner.triage.rules import SEVERITIES

MAX_ITEMS = 2000


@dataclass(frozen=True)
class Item:
    """One family of warnings in a log."""

    key: str
    rule: str
    severity: str
    kind: str
    text: str
    why: str
    do: str
    count: int = 1
    ranks: tuple[int, ...] = ()
    origin: str = ""
    was: str = ""
    """The severity by our rules, where the user's say otherwise."""
    by: str = ""
    """`yours` where the user's file decided."""


def triage_text(
    text: str | Iterable[str],
    engine: Engine | None = None,
    context: Mapping[str, object] | None = None,
    marks: Mapping[str, Mark] | None = None,
) -> list[Item]:
    """
    The warnings of a log, folded, worst first, then by first appearance.

    Args:
        text: the log, or its pieces, cut anywhere.
        engine: the rules; the standard ones by default.
        context: facts about the run, for rules that ask for them.
        marks: what the user thinks of families.
    """
    engine = engine or Engine.standard()
    found: dict[str, Item] = {}
    cutter = Cutter()
    pieces = (text,) if isinstance(text, str) else text
    for piece in pieces:
        for record in cutter.feed(piece):
            _add(found, engine, record, context)
    for record in cutter.flush():
        _add(found, engine, record, context)
    items = (_as_marked(item, (marks or {}).get(item.key)) for item in found.values())
    return sorted(items, key=lambda item: SEVERITIES.index(item.severity))


def _as_marked(item: Item, mark: Mark | None) -> Item:
    severity, _ = marked(mark, item.severity)
    if severity == item.severity:
        return item
    return replace(item, severity=severity, was=item.severity, by="yours")


def _judge(engine: Engine, record: Record) -> Judgement | None:
    """The judgement, with what the text itself shows as evidence."""
    judgement = engine.judge(record)
    if judgement is None or not judgement.judged_by:
        return judgement
    seen = Seen((record.text,), judgement.severity)
    shown = rejudge(judgement.judged_by, EMPTY, seen)
    if shown is None or shown.severity == judgement.severity:
        return judgement
    return replace(
        judgement, severity=shown.severity, why=f"{judgement.why} Here: {shown.shown}."
    )


def _add(
    found: dict[str, Item],
    engine: Engine,
    record: Record,
    context: Mapping[str, object] | None,
) -> None:
    if context:
        record = replace(record, context=context)
    judgement = _judge(engine, record)
    if judgement is None:
        return
    key = fold_key(judgement, record)
    item = found.get(key)
    if item is None:
        if len(found) >= MAX_ITEMS:
            key, judgement = "more", replace(_MORE, severity=judgement.severity)
            item = found.get(key)
        if item is None:
            origin = f"{record.file}:{record.line}" if record.file else record.logger
            item = Item(
                key,
                judgement.rule,
                judgement.severity,
                judgement.kind,
                judgement.text,
                judgement.why,
                judgement.do,
                0,
                (),
                origin,
            )
            if isinstance(judgement, OwnJudgement):
                item = replace(item, was=judgement.was, by="yours")
    ranks = item.ranks
    if record.rank is not None and record.rank not in ranks:
        ranks = tuple(sorted({*ranks, record.rank}))
    severity = _worse(item.severity, judgement.severity)
    found[key] = replace(item, count=item.count + 1, ranks=ranks, severity=severity)


_MORE = Judgement(
    "",
    "unclassified",
    "",
    "more kinds of warnings than are kept apart",
    "The log says too many different things to list.",
    "Look at the log itself.",
)


def triage_item(
    item: Mapping[str, Any], engine: Engine | None = None
) -> dict[str, Any]:
    """
    The judgement on one item.

    Args:
        item: `text`, and where known `id`, `stream`, `logger`, `context`.
        engine: the rules; the standard ones by default.

    Returns:
        `id`, `label` (a severity), `kind` ("none" where there is none), `rule`,
        `why`, `do`.

    An item of several records gets the worst of their labels.
    """
    engine = engine or Engine.standard()
    text = str(item.get("text") or "")
    context = item.get("context")
    known: dict[str, Any] = {
        "stream": str(item.get("stream") or ""),
        "logger": str(item.get("logger") or ""),
        "context": context if isinstance(context, Mapping) else {},
    }
    whole = _judge(engine, read(text, **known))
    judgements = [whole] if whole is not None and whole.rule else []
    cutter = Cutter(known["stream"])
    for record in (*cutter.feed(text), *cutter.flush()):
        record = replace(
            record,
            context=known["context"],
            logger=record.logger or known["logger"],
        )
        judgement = _judge(engine, record)
        if judgement is not None:
            judgements.append(judgement)
    known_ones = [j for j in judgements if j.severity != "unclassified"]
    # What only frames a known saying, such as its list of keys, is no warning.
    best = min(
        known_ones or judgements,
        key=lambda judgement: SEVERITIES.index(judgement.severity),
        default=None,
    )
    return {
        "id": item.get("id"),
        "label": best.severity if best else "not_a_warning",
        "kind": (best.kind if best else "") or "none",
        "rule": best.rule if best else "",
        "why": best.why if best else "",
        "do": best.do if best else "",
    }


def _worse(one: str, other: str) -> str:
    return min(one, other, key=SEVERITIES.index)
