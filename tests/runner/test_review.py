"""Warnings in order, in words, and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import scenes
from trainwatch.runner.document import review_document
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.review import (
    export,
    facts,
    is_new,
    markdown,
    news,
    notes,
    ordered,
    place,
)
from trainwatch.runner.state import RunFacts, RunState, TriagedWarning


def of(key: str, severity: str = "attention", **more: object) -> TriagedWarning:
    return TriagedWarning(key=key, text=key, severity=severity, **more)  # type: ignore[arg-type]


def test_the_worst_first_then_the_new_and_the_known_last() -> None:
    found = ordered(
        [
            of("known", known=True, first_seen=9.0),
            of("old", new=False, first_seen=1.0),
            of("later", new=False, first_seen=5.0),
            of("new", new=True, first_seen=2.0),
            of("new but known to the user", new=True, known=True, first_seen=8.0),
            of("worst", "serious"),
            of("least", "harmless", new=True),
        ]
    )
    assert [w.key for w in found] == [
        "worst",
        "new",
        "later",
        "old",
        "known",
        "new but known to the user",
        "least",
    ]


@pytest.mark.parametrize(
    ("warning", "said"),
    [
        (of("a"), ()),
        (of("a", new=True), ("new since the last good run",)),
        (of("a", new=False), ("also in the last good runs",)),
        (of("a", new=True, known=True), ("known to you",)),
        (of("a", "harmless", by="yours", was="serious"), ("yours (was serious)",)),
        (of("a", by="yours"), ("yours",)),
        (
            of("a", by="evidence", was="harmless"),
            ("was harmless, changed by evidence",),
        ),
    ],
)
def test_what_is_said_of_a_severity(
    warning: TriagedWarning, said: tuple[str, ...]
) -> None:
    assert notes(warning) == said


def test_where_it_came_from() -> None:
    told = dict(
        facts(
            of(
                "a",
                origin="/v/lib/python3.11/site-packages/torch/x.py:3",
                logger="torch.x",
                first_step=1,
                last_step=1_200,
                phase="forward",
                ranks=(0, 3),
                count=4,
            )
        )
    )
    assert told == {
        "seen": "4 times",
        "steps": "1 to 1,200",
        "phase": "forward",
        "ranks": "0, 3",
        "from": "torch/x.py:3",
        "logger": "torch.x",
    }
    assert place("train.py:3") == "train.py:3"


def test_news_need_a_good_run() -> None:
    def state(*warnings: TriagedWarning) -> RunState:
        return RunState(warnings={w.key: w for w in warnings})

    assert news(state(of("a"))) == ""
    assert news(state(of("a", new=True, good_run="r"), of("b", new=False))) == (
        "1 new since the last good run (r)"
    )
    assert news(state(of("a", new=False, good_run="r"))).startswith("none new")
    assert is_new(of("a", new=True))


def test_the_document_has_what_the_screen_has() -> None:
    document = review_document(scenes.reviewed().state)
    assert json.loads(json.dumps(document)) == document
    assert document["new"] == 2
    assert document["good_run"] == "20260527-a"
    by_key = {item["key"]: item for item in document["items"]}
    adapter = by_key["metrics.adapter-idle"]
    assert (adapter["severity"], adapter["was"], adapter["by"]) == (
        "harmless",
        "serious",
        "yours",
    )
    assert document["counts"]["serious"] == 1


def test_markdown_shows_hostile_text_as_text() -> None:
    text = "x ``` y\n# not a heading <b>\x1b[31m\n[link](http://x)"
    state = RunState(
        run=RunFacts(id="r", name="a_b"),
        warnings={"k": TriagedWarning(key="k", text=text, severity="attention")},
    )
    page = markdown(state)
    assert "````\nx ``` y\n# not a heading <b>\n[link](http://x)\n````" in page
    assert "### x \\`\\`\\` y" in page
    assert "\x1b" not in page
    assert "No warnings." in markdown(RunState())


def test_an_export_says_where_it_went_and_overwrites_only_its_own(
    tmp_path: Path,
) -> None:
    state = scenes.reviewed().state
    document = review_document(state)
    for name in ("w.md", "w.json"):
        path = tmp_path / name
        for _ in range(2):
            assert export(state, document, path) == path
        other = tmp_path / f"other-{name}"
        other.write_text("mine\n")
        with pytest.raises(RefusedError, match="no export of ours"):
            export(state, document, other)
        assert other.read_text() == "mine\n"
    assert json.loads((tmp_path / "w.json").read_text()) == document
    assert (tmp_path / "w.md").read_text() == markdown(state)
    with pytest.raises(RefusedError, match="ends with neither"):
        export(state, document, tmp_path / "train.py")
    with pytest.raises(OSError, match="No such file"):
        export(state, document, tmp_path / "none" / "w.md")
