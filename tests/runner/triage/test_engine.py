"""Judging single records: families, unknown texts, folding, hostile input."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from trainwatch.runner.triage.engine import Engine, Judgement, fold_key, template
from trainwatch.runner.triage.records import read
from trainwatch.runner.triage.rules import standard

ENGINE = Engine.standard()


def judge(text: str, **known: Any) -> Judgement | None:
    return ENGINE.judge(read(text, **known))


def severity(text: str, **known: Any) -> str:
    judgement = judge(text, **known)
    return judgement.severity if judgement else "not_a_warning"


FLAGS = "The following generation flags are not valid and may be ignored: ['top_p']."
DTYPE = "`torch_dtype` is deprecated! Use `dtype` instead!"


@pytest.mark.parametrize("prefix", ["", "[transformers] ", "[rank0]: [transformers] "])
def test_the_two_classics(prefix: str) -> None:
    assert severity(prefix + FLAGS) == "harmless"
    assert severity(prefix + DTYPE) == "cleanup"


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("FutureWarning: `a` is deprecated, use `b`", {}, "cleanup"),
        ("`a` will be removed in version 9", {"stream": "logging"}, "cleanup"),
        ("TypeError: f() got an unexpected keyword argument 'a'", {}, "serious"),
        ("SyntaxError: invalid syntax", {}, "serious"),
        ("torch.OutOfMemoryError: CUDA out of memory.", {}, "serious"),
        ("Traceback (most recent call last):\n  File 'a'\nfoo.Odd: no", {}, "serious"),
        ("x.py:1: UserWarning: a thing nobody knows", {}, "unclassified"),
        ("a thing nobody knows", {"level": "WARNING"}, "unclassified"),
        ("a thing nobody knows", {"stream": "logging"}, "unclassified"),
        ("a thing nobody knows", {"level": "INFO"}, "not_a_warning"),
        ("a thing nobody knows", {}, "not_a_warning"),
        ("", {"stream": "logging"}, "not_a_warning"),
        ("epoch 3 error_rate: 0.1", {"stream": "stdout"}, "not_a_warning"),
        ("Loading model, this may be slow", {"stream": "console"}, "not_a_warning"),
    ],
)  # fmt: skip
def test_families_and_unknown_texts(
    text: str, known: dict[str, Any], expected: str
) -> None:
    assert severity(text, **known) == expected


def test_unknown_is_never_called_harmless_by_level_alone() -> None:
    judgement = judge("entirely new", level="ERROR")
    assert judgement is not None
    assert judgement.severity == "attention"


def test_a_rule_folds_all_its_texts_and_a_family_does_not() -> None:
    def key(text: str) -> str:
        record = read(text)
        judgement = ENGINE.judge(record)
        assert judgement is not None
        return fold_key(judgement, record)

    assert key(FLAGS) == key(FLAGS.replace("top_p", "top_k"))
    one = "FutureWarning: `a` is deprecated, see /x/1"
    assert key(one) == key(one.replace("/x/1", "/y/22"))
    assert key(one) != key(one.replace("`a`", "`b`"))
    new = "x.py:1: UserWarning: 3 odd things at 0x7f00 in '/a/b'"
    assert key(new) == key("y.py:9: UserWarning: 14 odd things at 0x11 in '/c'")


def test_template() -> None:
    assert template("it's 3 of 4 at 0xff in /a/b.py: 'x'") == "it's N of N at N in P: Q"


def test_long_record_is_judged_by_both_ends() -> None:
    middle = "  File 'a.py', line 1, in f\n" * 1500
    text = f"Traceback (most recent call last):\n{middle}ModuleNotFoundError: No module"
    judgement = judge(text)
    assert judgement is not None
    assert judgement.rule == "incompatibility.import"


HOSTILE = (
    "a",
    " ",
    "'",
    "TypeError: ",
    "deprecated ",
    "loss': 0",
    "[W1 ",
    "[rank0]: ",
    "max_",
    "Error: ",
    "lora_A MISSING ",
    'File "',
    "is set to `False`. However, `",
    "\x1b[",
    "(",
    "/x",
    "1",
    "A.",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_record_is_judged_in_time(piece: str) -> None:
    text = piece * (64_000 // len(piece))
    deadline = time.process_time() + 5
    record = read(text, stream="logging")
    judgement = ENGINE.judge(record)
    if judgement is not None:
        fold_key(judgement, record)
    assert time.process_time() < deadline


@pytest.mark.parametrize("rule", standard(), ids=lambda rule: rule.id)
def test_no_pattern_runs_away_on_its_own_examples(rule: Any) -> None:
    deadline = time.process_time() + 5
    for example in rule.examples:
        half = example["text"][: len(example["text"]) // 2 + 1]
        for pattern in rule.match:
            pattern.search((half * 4000)[:8200])
    assert time.process_time() < deadline


@pytest.mark.parametrize("seed", range(20))
def test_anything_is_judged_without_error(seed: int) -> None:
    source = random.Random(seed)
    texts = [example["text"] for rule in standard() for example in rule.examples]
    for _ in range(60):
        one, other = source.choices(texts, k=2)
        text = one[source.randrange(len(one)) :] + other[: source.randrange(len(other))]
        noise = source.randbytes(40).decode("latin-1")
        record = read(text + noise, stream=source.choice(("", "logging", "console")))
        judgement = ENGINE.judge(record)
        if judgement is not None:
            assert fold_key(judgement, record)
