"""Never wrong in the dangerous direction, whatever the words stand among."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from trainwatch.runner.triage.batch import triage_item, triage_text
from trainwatch.runner.triage.engine import Engine
from trainwatch.runner.triage.records import read
from trainwatch.runner.triage.rules import Rule, standard

ENGINE = Engine.standard()
CALM = ("harmless", "cleanup", "not_a_warning")
MILD = [rule for rule in standard() if rule.severity != "serious" and not rule.raised]

ALARMS = (
    "Failed to allocate the frobnicator",
    "the checkpoint was corrupted",
    "the loss is nan",
    "the run has diverged at step 9",
    "these layers will not be trained",
    "model.layers.0 is randomly initialized",
    "the worker was killed",
    "device out of memory",
    "the barrier timed out after 600 s",
    "ERROR: no such frobnicator",
    "mylib.errors.NoSuchThing: x",
    "OddError: no such thing",
    "Traceback (most recent call last):\n  File 'a.py', line 1\nOddError: x",
)
FORMS = (
    "{}",
    "[transformers] {}",
    "[rank0]: {}",
    "[RANK 1] {}",
    "WARNING:root:{}",
    "2024-05-06 12:00:01,123 - mylib.core - WARNING - {}",
    "/v/mylib/a.py:3: UserWarning: {}\n  warnings.warn(text)",
    "/v/mylib/a.py:3: FutureWarning: {}\n  warnings.warn(text)",
    "/v/mylib/a.py:3: FutureWarning: `a` is deprecated; {}\n  warnings.warn(text)",
    "  5%|5         | 37/731 [01:08<1:22:56,  2.88s/it]{}",
    "\x1b[33m{}\x1b[0m",
)


@pytest.mark.parametrize(
    ("alarm", "form"), itertools.product(ALARMS, FORMS), ids=lambda text: text[:24]
)
def test_alarming_words_are_never_calm(alarm: str, form: str) -> None:
    text = form.format(alarm)
    assert triage_item({"text": text})["label"] not in CALM
    found = triage_text(text)
    assert found
    assert found[0].severity not in CALM


@pytest.mark.parametrize("rule", MILD, ids=lambda rule: rule.id)
def test_raised_as_an_exception_it_is_serious(rule: Rule) -> None:
    for example in rule.examples:
        said = read(example["text"]).message.partition("\n")[0]
        frames = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
        for text in (f"OddError: {said}", f"{frames}    f()\nmy.OddError: {said}"):
            judgement = ENGINE.judge(read(text))
            assert judgement is not None
            assert judgement.severity == "serious", (judgement.rule, text)


@pytest.mark.parametrize("severity", CALM)
def test_calm_rules_name_what_they_know(severity: str) -> None:
    """A family, which goes by wording alone, calls nothing calm but old names."""
    families = [rule.id for rule in standard() if rule.general]
    calm = [rule.id for rule in standard() if rule.severity == severity]
    assert set(families) & set(calm) <= {"families.deprecated"}


@pytest.mark.parametrize(
    "text",
    [
        "/w/train.py:9: UserWarning: 学习率可能设置得过高\n  warnings.warn(text)",
        "2024-05-06 12:00:01,123 - t - WARNING - バッチが小さすぎます",
        "WARNING:root:Die Validierungsmenge ist sehr klein",
        "WARNING:root:[bold red]dunno[/bold red] [link=x]y[/link]",
    ],
)
def test_warning_in_another_language_is_shown(text: str) -> None:
    (item,) = triage_text(text)
    assert item.severity == "unclassified"


def test_traceback_in_another_language_is_serious() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/w/学習.py", line 4, in <module>\n'
        "    main()\nValueError: 入力データが空です\n"
    )
    (item,) = triage_text(text)
    assert item.severity == "serious"


def test_long_line_and_bytes_that_are_no_text() -> None:
    piece = "x" * 1_000_000
    noise = bytes(range(256)).decode("utf-8", "replace") * 100
    pieces = [*[piece] * 20, "\nKilled\n", noise, "\nKilled\n"]
    items = triage_text(iter(pieces))
    assert [(item.severity, item.count) for item in items] == [("serious", 2)]


def _lines(name: str) -> list[str]:
    data = Path(__file__).parents[2] / "data" / name
    return data.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", _lines("alarming_output.txt"))
def test_failure_in_plain_output_is_told(line: str) -> None:
    assert triage_item({"text": line})["label"] not in CALM
    assert triage_text(f"step 3 loss 2.1\n{line}\nstep 4 loss 2.0\n")


@pytest.mark.parametrize("line", _lines("ordinary_output.txt"))
def test_ordinary_output_is_no_warning(line: str) -> None:
    assert triage_text(f"step 3 loss 2.1\n{line}\nstep 4 loss 2.0\n") == []
