from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainwatch.runner import demo
from trainwatch.runner.demo import DEMOS, demo_command
from trainwatch.runner.errors import RefusedError


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that has every training package."""
    monkeypatch.setattr(demo, "missing_packages", list)


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("name", ["lora", "dpo", "partial", "plain"])
def test_a_demo_is_an_installed_script(name: str) -> None:
    python, script, *argv = demo_command(name)
    assert python == sys.executable
    assert Path(script).is_file()
    assert Path(script).name == DEMOS[name].script
    assert argv == list(DEMOS[name].argv)


@pytest.mark.usefixtures("complete")
def test_steps_are_handed_on() -> None:
    assert demo_command("lora", steps=6)[-2:] == ["--steps", "6"]


def test_every_demo_has_its_own_name_and_a_summary() -> None:
    assert all(name == DEMOS[name].name and DEMOS[name].summary for name in DEMOS)


def test_missing_packages_are_named_with_the_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "PACKAGES", ("json", "no_such_package"))
    with pytest.raises(RefusedError) as raised:
        demo_command("lora")
    assert "no_such_package" in str(raised.value)
    assert "json" not in str(raised.value)
    assert "pip install 'trainwatch-tui[train]'" in str(raised.value)


def test_another_interpreter_is_not_judged_by_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "PACKAGES", ("no_such_package",))
    assert demo_command("dpo", python="/opt/other/python")[0] == "/opt/other/python"


@pytest.mark.usefixtures("complete")
def test_a_missing_script_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "examples_folder", lambda: tmp_path)
    with pytest.raises(RefusedError, match=r"plain_loop\.py is missing"):
        demo_command("plain")


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        demo_command("nothing")
