"""Warnings of supervised runs: new or known, the user's own, in plain text and JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch
from trainwatch.runner.hands import Hands
from trainwatch.runner.triage.marks import Mark
from trainwatch.runner.triage.own import own_file
from trainwatch.runner.view import look

SCRIPT = """
import sys, warnings
for word in sys.argv[1:]:
    if word == "fail":
        sys.exit(1)
    warnings.warn(f"{word} is a thing that nobody knows")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def run(trainwatch: Trainwatch, script: Path, *words: str) -> dict[str, dict[str, Any]]:
    """The families of a run, by the first word of their text."""
    trainwatch("run", "--plain", "--", sys.executable, str(script), *words)
    return reviewed(trainwatch)


def reviewed(trainwatch: Trainwatch) -> dict[str, dict[str, Any]]:
    done = trainwatch("review", "--json")
    assert done.returncode == 0, done.stderr
    items = json.loads(done.stdout)["items"]
    return {item["text"].split()[0]: item for item in items}


def test_what_no_good_run_has_said_is_new_and_stands_first(
    trainwatch: Trainwatch, script: Path
) -> None:
    first = run(trainwatch, script, "apples")
    assert first["apples"]["new"] is None, "there was no run to compare with"
    failed = run(trainwatch, script, "pears", "fail")
    assert failed["pears"]["new"] is True
    second = run(trainwatch, script, "apples", "pears", "plums")
    assert [item["new"] for item in second.values()] == [True, True, False]
    assert list(second)[-1] == "apples"
    text = trainwatch("review").stdout
    assert "2 new since the last good run (" in text
    assert text.index("pears") < text.index("apples")
    assert "(new since the last good run)" in text
    third = run(trainwatch, script, "apples", "pears")
    assert {item["new"] for item in third.values()} == {False}
    assert "none new since the last good run" in trainwatch("review").stdout


def test_another_script_knows_nothing_of_it(
    trainwatch: Trainwatch, script: Path, tmp_path: Path
) -> None:
    run(trainwatch, script, "apples")
    other = tmp_path / "other.py"
    other.write_text(SCRIPT)
    assert run(trainwatch, other, "apples")["apples"]["new"] is None


def test_a_mark_holds_for_runs_that_are_and_that_come(
    trainwatch: Trainwatch, script: Path
) -> None:
    item = run(trainwatch, script, "apples")["apples"]
    assert (item["severity"], item["by"]) == ("unclassified", None)
    done = Hands().mark(Mark(item["key"], "harmless", was="unclassified"))
    assert done.ok
    assert str(own_file()) in done.detail
    for item in (
        reviewed(trainwatch)["apples"],
        run(trainwatch, script, "apples")["apples"],
    ):
        assert (item["severity"], item["was"], item["by"]) == (
            "harmless",
            "unclassified",
            "yours",
        )
    assert "yours (was unclassified)" in trainwatch("review").stdout
    log = (next((trainwatch.home / "runs").iterdir()) / "events.jsonl").read_text()
    assert "yours" not in log, "the log keeps what is, not what one thinks of it"


def test_an_error_in_ones_own_file_is_named_and_the_rest_holds(
    trainwatch: Trainwatch, script: Path
) -> None:
    own_file().write_text(
        "[[rule]]\nid = 'mine'\nseverity = 'attention'\nneeds = ['apples']\n"
        "match = 'apples is'\nwhy = 'I know them.'\n\n[[mark]]\nfamily = 3\n"
    )
    item = run(trainwatch, script, "apples")["apples"]
    assert (item["rule"], item["severity"], item["by"]) == (
        "mine",
        "attention",
        "yours",
    )
    done = trainwatch("review")
    assert done.returncode == 0
    assert done.stderr == f"{own_file()}:8: mark: family is missing\n"


def test_an_export_by_the_hands_is_the_review(
    trainwatch: Trainwatch, script: Path, tmp_path: Path
) -> None:
    run(trainwatch, script, "apples")
    (folder,) = (trainwatch.home / "runs").iterdir()
    done = Hands().export(look(folder).state, tmp_path / "w.json")
    assert (done.ok, done.path) == (True, str(tmp_path / "w.json"))
    printed = json.loads(trainwatch("review", "--json").stdout)
    assert json.loads((tmp_path / "w.json").read_text()) == printed
    refused = Hands().export(look(folder).state, tmp_path / "script.py")
    assert (refused.ok, refused.outcome) == (False, "refused")
    assert trainwatch("review", "-o", str(tmp_path / "w.md")).returncode == 0
    assert "apples is a thing" in (tmp_path / "w.md").read_text()
    assert trainwatch("review", "-o", str(script)).returncode == 4


def test_a_run_without_warnings_says_so(trainwatch: Trainwatch, script: Path) -> None:
    assert run(trainwatch, script) == {}
    assert trainwatch("review").stdout.startswith("no warnings in run script")
