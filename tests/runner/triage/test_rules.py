"""Every rule's own examples, and what a rule file may not hold."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainwatch.runner import text
from trainwatch.runner.triage import cutter, engine, records, rules
from trainwatch.runner.triage.engine import Engine
from trainwatch.runner.triage.evidence import KINDS_OF_EVIDENCE
from trainwatch.runner.triage.records import read

if sys.version_info >= (3, 11):
    from re import _parser
else:
    import sre_parse as _parser

STANDARD = rules.standard()
ENGINE = Engine(STANDARD)


def _cases(attribute: str) -> list[object]:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{number}")
        for rule in STANDARD
        for number, example in enumerate(getattr(rule, attribute))
    ]


def _winner(example: dict[str, object]) -> str:
    rule = ENGINE.rule_for(read(**example))  # type: ignore[arg-type]
    return rule.id if rule else ""


@pytest.mark.parametrize(("rule", "example"), _cases("examples"))
def test_example_is_won_by_its_rule(
    rule: rules.Rule, example: dict[str, object]
) -> None:
    assert _winner(example) == rule.id


@pytest.mark.parametrize(("rule", "example"), _cases("not_examples"))
def test_counterexample_is_not_won_by_the_rule(
    rule: rules.Rule, example: dict[str, object]
) -> None:
    assert _winner(example) != rule.id


@pytest.mark.parametrize("rule", STANDARD, ids=lambda rule: rule.id)
def test_every_rule_explains_itself(rule: rules.Rule) -> None:
    assert rule.examples, "the examples are the tests"
    assert rule.needs or rule.where, "something cheap is asked before the pattern"
    assert rule.why.endswith((".", ")"))
    if rule.severity != "not_a_warning":
        assert rule.do
        assert rule.evidence
    assert not rule.judged_by or rule.judged_by in KINDS_OF_EVIDENCE


def test_every_rule_file_is_asked() -> None:
    folder = Path(rules.__file__).parent / "rules"
    assert {path.stem for path in folder.glob("*.toml")} == set(rules.TOPICS)


GOOD = """
[[rule]]
id = "mine.one"
severity = "harmless"
needs = ["hello"]
match = 'hello \\w{1,9}'
why = "A greeting."
"""


def test_own_rules_are_asked_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("hello \\w{1,9}", "Killed").replace("hello", "Killed"))
    engine = Engine.standard(path)
    judgement = engine.judge(read("Killed"))
    assert judgement is not None
    assert (judgement.rule, judgement.severity) == ("mine.one", "harmless")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hello \\w{1,9}", "hello \\w+"), "limit"),
        (("hello \\w{1,9}", "(?:a{1,9}){1,9}"), "repeated"),
        (("hello \\w{1,9}", "h{2,}"), "limit"),
        (("hello \\w{1,9}", "a{0,900}b{0,900}"), "multiply"),
        (("hello \\w{1,9}", "(hello"), "pattern"),
        (('"harmless"', '"fine"'), "severity"),
        (("why =", "because ="), "unknown keys"),
        (('why = "A greeting."', ""), "why is missing"),
        (('needs = ["hello"]', "needs = [3]"), "needs"),
        (("[[rule]]", "[[rules]]"), "rule"),
        (('id = "mine.one"', 'id = "mine.one'), "line"),
    ],
)
def test_bad_rule_is_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(rules.RuleError) as caught:
        rules.load(path)
    assert said in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_bad_rule_is_named_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + GOOD.replace("mine.one", "mine.two").replace("{1,9}", "*"))
    with pytest.raises(rules.RuleError, match=r"mine\.two"):
        rules.load(path)


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + GOOD)
    with pytest.raises(rules.RuleError, match="twice"):
        rules.load(path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", None], ids=["not UTF-8", "not there"]
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(rules.RuleError, match=r"mine\.toml"):
        rules.load(path)


@pytest.mark.parametrize(
    "source",
    [r"a{3}", r"[a-z*+]", r"\*\+", r"[]*]x", r"(?:a|b{0,9})c{0,90}", "a{b}"],
)
def test_bounded_pattern_is_taken(source: str) -> None:
    assert rules.pattern(source).pattern == source


def _repeats(parsed: Iterable[Any], inside: bool) -> Iterator[str]:
    """Repetitions without a limit that stand within a repetition."""
    for kind, value in parsed:
        if str(kind) in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = value
            many = most > 1
            if inside and most >= 1 << 16:
                yield f"{kind} of {body}"
            yield from _repeats(body, inside or many)
        elif str(kind) == "SUBPATTERN":
            yield from _repeats(value[-1], inside)
        elif str(kind) == "BRANCH":
            for branch in value[1]:
                yield from _repeats(branch, inside)


@pytest.mark.parametrize("module", [text, cutter, engine, records], ids=str)
def test_no_repetition_without_limit_within_another(module: Any) -> None:
    patterns = [
        found
        for value in vars(module).values()
        for found in (value if isinstance(value, tuple) else (value,))
    ]
    patterns = [one[0] if isinstance(one, tuple) and one else one for one in patterns]
    patterns = [one for one in patterns if isinstance(one, re.Pattern)]
    assert patterns
    for one in patterns:
        assert not list(_repeats(_parser.parse(one.pattern), False)), one.pattern
