"""What the documents list is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trainwatch.cli.parser import build
from trainwatch.probes import events as ev

ROOT = Path(__file__).parent.parent


def test_every_event_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "events.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(ev.TYPES)


def test_every_command_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    (action,) = (a for a in build()._actions if a.choices and a.metavar == "COMMAND")
    assert action.choices is not None
    for command in action.choices:
        assert f"trainwatch {command}" in text, command


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/design.md"])
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readmes_pictures_are_there() -> None:
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(shown) == 3
    for target in shown:
        assert (ROOT / target).read_text().startswith("<svg")
