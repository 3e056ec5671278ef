"""Every rule's own examples, and what a rule file may not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainwatch.runner.triage import rules
from trainwatch.runner.triage.engine import Engine
from trainwatch.runner.triage.evidence import KINDS_OF_EVIDENCE
from trainwatch.runner.triage.records import read

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
