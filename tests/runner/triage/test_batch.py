"""Whole logs and single items; the labelled corpus."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from trainwatch.runner.triage.batch import triage_item, triage_text
from trainwatch.runner.triage.own import parse_own
from trainwatch.runner.triage.own_engine import engine
from trainwatch.runner.triage.rules import SEVERITIES

CORPUS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "warnings_corpus.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
CALM = ("harmless", "cleanup", "not_a_warning")


def test_corpus_agreement() -> None:
    wrong = []
    dangerous = []
    noisy = []
    for item in CORPUS:
        label = triage_item(item)["label"]
        if label != item["label"]:
            wrong.append((item["id"], item["label"], label))
        if item["label"] == "serious" and label in CALM:
            dangerous.append(item["id"])
        if item["label"] == "not_a_warning" and label != "not_a_warning":
            noisy.append(item["id"])
    assert dangerous == []
    assert noisy == []
    assert len(wrong) <= 0.05 * len(CORPUS), wrong


def test_corpus_without_its_context_is_never_wrong_dangerously() -> None:
    for item in CORPUS:
        label = triage_item({"id": item["id"], "text": item["text"]})["label"]
        assert not (item["label"] == "serious" and label in CALM), item["id"]


def test_item_has_all_keys_and_survives_nonsense() -> None:
    for item in ({}, {"text": None}, {"text": 3, "context": "x", "stream": None}):
        answer = triage_item(item)
        assert set(answer) == {"id", "label", "kind", "rule", "why", "do"}
        assert answer["label"] in SEVERITIES


def test_item_of_several_records_gets_the_worst() -> None:
    text = "WARNING:root:`a` is deprecated\nb.py:1: UserWarning: odd\n  f()\nKilled"
    assert triage_item({"id": 1, "text": text})["label"] == "serious"


LOG = (
    "\r  5%|▌   | 37/731 [01:08<1:22:56,  2.88s/it]"
    "WARNING: tokenization mismatch: 1 vs. 165. (ignored)\n"
    "{'loss': '5.8', 'epoch': '0.1'}\n"
    "[rank0]: a.py:1: FutureWarning: `a` is deprecated\n"
    "[rank1]: a.py:1: FutureWarning: `a` is deprecated\n"
    "WARNING: tokenization mismatch: 1 vs. 33. (ignored)\n"
    "Killed\n"
)


def test_log_is_folded_worst_first() -> None:
    items = triage_text(LOG)
    assert [(item.severity, item.count) for item in items] == [
        ("serious", 1),
        ("attention", 2),
        ("cleanup", 2),
    ]
    assert items[2].ranks == (0, 1)
    assert items[2].origin == "a.py:1"


def test_log_in_pieces_is_the_same() -> None:
    assert triage_text(iter(LOG)) == triage_text(LOG)


def test_empty_and_foreign_logs_hold_nothing() -> None:
    assert triage_text("") == []
    assert triage_text("обучение началось\n学習を開始します\n[bold]x[/bold]\n") == []


def test_many_different_warnings_are_bounded() -> None:
    words = (
        "".join(chr(97 + (n // 26**i) % 26) for i in range(4)) for n in range(5000)
    )
    items = triage_text(f"x.py:1: UserWarning: odd {word}\n" for word in words)
    assert len(items) <= 2001
    assert sum(item.count for item in items) == 5000
    assert Counter(item.severity for item in items) == {"unclassified": len(items)}


HEAD_ONLY = (
    "BertForSequenceClassification LOAD REPORT from: x\nKey | Status |\n----+----+-\n"
    "bert.encoder.pooler.weight | UNEXPECTED |\nclassifier.weight | MISSING |\n\n"
    "Notes:\n- MISSING:\tthose params were newly initialized\n"
)


def test_the_keys_of_a_report_decide_without_a_run() -> None:
    lost = HEAD_ONLY.replace("classifier.weight", "bert.encoder.layer.{0...3}.x.weight")
    assert triage_item({"text": HEAD_ONLY})["label"] == "attention"
    judged = triage_item({"text": lost})
    assert judged["label"] == "serious"


def test_a_users_marks_and_rules_hold_for_any_log() -> None:
    log = "Killed\nWARNING: tokenization mismatch: 1 vs. 165. (ignored)\n"
    mine = parse_own(
        "[[rule]]\nid = 'mine.killed'\nseverity = 'harmless'\nneeds = ['Killed']\n"
        "match = 'Killed'\nwhy = 'Me.'\n"
        "[[mark]]\nfamily = 'data.masked-rows'\nseverity = 'cleanup'\n"
    )
    found = triage_text(log, engine(mine), marks=mine.marks)
    assert [(i.severity, i.was, i.by) for i in found] == [
        ("cleanup", "attention", "yours"),
        ("harmless", "serious", "yours"),
    ]
