"""A user's own marks and rules: what they change, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.triage import own
from trainwatch.runner.triage.engine import fold_key
from trainwatch.runner.triage.marks import Mark, apply
from trainwatch.runner.triage.own import parse_own, with_mark
from trainwatch.runner.triage.own_engine import OwnJudgement, engine
from trainwatch.runner.triage.records import read

RULE = """\
[[rule]]
id = "mine.killed"
severity = "harmless"
needs = ["Killed"]
match = 'Killed'
why = "I kill my runs myself."
"""
GOOD = f"""\
# what I know
[[mark]]
family = "a.b"
severity = "harmless"
was = "attention"

{RULE}
[[mark]]
family = "c.d"
known = true
"""


def warning(severity: str, key: str = "a.b") -> dict[str, TriagedWarning]:
    return {key: TriagedWarning(key=key, severity=severity, text="t")}


def test_marks_and_rules_are_read() -> None:
    mine = parse_own(GOOD)
    assert mine.problems == ()
    assert mine.marks == {
        "a.b": Mark("a.b", "harmless", was="attention"),
        "c.d": Mark("c.d", known=True),
    }
    assert [rule.id for rule in mine.rules] == ["mine.killed"]


@pytest.mark.parametrize(
    ("bad", "line", "says"),
    [
        ('[[mark]]\nfamily = "x"\nseverity = oops', 3, "Invalid value"),
        ('[[mark]]\nfamily = "x"\nseverity = "bad"', 1, "severity 'bad' is none of"),
        ('[[mark]]\nseverity = "harmless"', 1, "family is missing"),
        ('[[mark]]\nfamily = "x"', 1, "neither severity nor known"),
        ('[[mark]]\nfamily = "x"\nknown = 1', 1, "known is neither"),
        ('[[mark]]\nfamily = "x"\nknown = true\nfoo = 1', 1, "unknown keys ['foo']"),
        ('[[rule]]\nid = "m"\nseverity = "harmless"', 1, "rule 'm': match is missing"),
        ("[[rule]]\nid = 'm'\nseverity = 'x'\nmatch = 'y'\nwhy = 'z'", 1, "'x'"),
        (
            "[[rule]]\nid = 'm'\nseverity = 'harmless'\nmatch = '(a+)+'\nwhy = 'z'",
            1,
            "limit",
        ),
        (RULE, 1, "rule 'mine.killed' is there twice"),
        ("[[other]]\na = 1", 1, "[[other]]"),
    ],
)
def test_an_error_is_named_with_its_line_and_the_rest_holds(
    bad: str, line: int, says: str
) -> None:
    before = GOOD.count("\n") + 1
    mine = parse_own(f"{GOOD}\n{bad}\n\n[[mark]]\nfamily = 'e.f'\nknown = true\n")
    (problem,) = mine.problems
    assert problem.line == before + line
    assert says in problem.text
    assert set(mine.marks) == {"a.b", "c.d", "e.f"}
    assert [rule.id for rule in mine.rules] == ["mine.killed"]
    assert mine.said(Path("/c/rules.toml")) == (
        f"/c/rules.toml:{before + line}: {problem.text}",
    )


def test_what_stands_before_the_tables_is_named_too() -> None:
    mine = parse_own(f"severity = 'harmless'\n{GOOD}")
    assert [p.line for p in mine.problems] == [1]
    assert set(mine.marks) == {"a.b", "c.d"}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    file = own.OwnFile(path)
    assert file.look() is own.NOTHING
    own.write_mark(path, Mark("a", known=True))
    mine = file.look()
    assert set(mine.marks) == {"a"}
    assert file.look() is mine
    own.write_mark(path, Mark("bb", known=True))
    assert set(file.look().marks) == {"a", "bb"}
    path.unlink()
    assert file.look() == own.NOTHING


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    assert own.read(path) == own.NOTHING
    path.write_bytes(b"[[mark]]\nfamily = '\xff'\n")
    assert [(p.line, p.text) for p in own.read(path).problems] == [(2, "not UTF-8")]
    path.write_bytes(b"#" * (own.MAX_BYTES + 1))
    assert "larger than" in own.read(path).problems[0].text
    (problem,) = own.read(tmp_path).problems
    assert problem.line == 1


def test_a_mark_changes_what_one_sees_and_says_so() -> None:
    marks = {"a.b": Mark("a.b", "harmless")}
    (seen,) = apply(warning("serious"), marks).values()
    assert (seen.severity, seen.was, seen.by) == ("harmless", "serious", "yours")
    raised = apply(warning("cleanup"), {"a.b": Mark("a.b", "serious")})["a.b"]
    assert (raised.severity, raised.was, raised.by) == ("serious", "cleanup", "yours")
    known = apply(warning("cleanup"), {"a.b": Mark("a.b", known=True)})["a.b"]
    assert (known.severity, known.by, known.known) == ("cleanup", "", True)


def test_a_mark_says_nothing_of_something_worse_than_what_was_marked() -> None:
    marks = {"a.b": Mark("a.b", "harmless", was="attention")}
    assert apply(warning("attention"), marks)["a.b"].severity == "harmless"
    assert apply(warning("serious"), marks)["a.b"].severity == "serious"


def test_without_marks_it_is_the_same_object() -> None:
    warnings = warning("serious")
    assert apply(warnings, {}) is warnings
    assert apply(warnings, {"x": Mark("x", "harmless")}) is warnings


def test_own_rules_come_first_and_a_serious_one_stays_in_sight() -> None:
    judged = engine(parse_own(RULE)).judge(read("Killed"))
    assert isinstance(judged, OwnJudgement)
    assert (judged.rule, judged.severity) == ("mine.killed", "harmless")
    assert judged.was == "serious"
    silent = parse_own(RULE.replace('"harmless"', '"not_a_warning"'))
    hidden = engine(silent).judge(read("Killed"))
    assert isinstance(hidden, OwnJudgement)
    assert (hidden.severity, hidden.was) == ("harmless", "serious")
    chatter = parse_own(
        RULE.replace("Killed", "hello").replace("harmless", "attention")
    )
    said = engine(chatter).judge(read("hello"))
    assert isinstance(said, OwnJudgement)
    assert (said.severity, said.was) == ("attention", "")
    other = engine(chatter).judge(read("Killed"))
    assert other is not None
    assert other.severity == "serious"


@pytest.mark.parametrize(
    "family",
    ["a.b", 'text:odd "quoted" \\ thing', "text:über [bold] N", "text:tab\tin it"],
)
def test_a_mark_written_is_the_mark_read(tmp_path: Path, family: str) -> None:
    path = tmp_path / "deep" / "rules.toml"
    mark = Mark(family, "cleanup", True, "attention", 'it said "x"')
    own.write_mark(path, mark)
    mine = own.read(path)
    assert mine.problems == ()
    assert mine.marks == {family: mark}
    own.write_mark(path, Mark(family, "serious"))
    assert own.read(path).marks == {family: Mark(family, "serious")}
    own.write_mark(path, Mark(family))
    assert own.read(path).marks == {}


def test_the_key_of_an_unknown_warning_survives_the_file(tmp_path: Path) -> None:
    record = read('WARNING: got "a\\b" at /x/y: 7 ümläuts\x1b[31m')
    judged = engine(own.NOTHING).judge(record)
    assert judged is not None
    key = fold_key(judged, record)
    own.write_mark(tmp_path / "r.toml", Mark(key, known=True))
    assert set(own.read(tmp_path / "r.toml").marks) == {key}


def test_writing_leaves_everything_else(tmp_path: Path) -> None:
    text = f"{GOOD}\n# a remark of mine\n\n[[broken]\nx = \n"
    written = with_mark(text, Mark("c.d", "harmless"))
    for part in ("# what I know", RULE, "# a remark of mine", "[[broken]\nx ="):
        assert part in written
    mine = parse_own(written)
    assert mine.marks["c.d"] == Mark("c.d", "harmless")
    assert mine.marks["a.b"] == Mark("a.b", "harmless", was="attention")


def test_the_file_stands_in_the_home_or_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINWATCH_HOME", str(tmp_path))
    assert own.own_file() == tmp_path / "rules.toml"
    monkeypatch.delenv("TRAINWATCH_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own.own_file().name == "rules.toml"
    assert tmp_path in own.own_file().parents
