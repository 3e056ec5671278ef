"""What is asked of `caffeinate`, by a stand-in on the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.runs import until
from trainwatch.runner.awake import keep_awake


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file into which the stand-in writes its words."""
    program, words = tmp_path / "caffeinate", tmp_path / "words"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {words}.part; mv {words}.part {words}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return words


def test_a_mac_is_kept_awake_and_its_display_is_not(asked: Path) -> None:
    pid = keep_awake(4242, "darwin")
    assert pid is not None
    until(asked.exists, "its words")
    assert asked.read_text() == "-i -w 4242\n"
    os.waitpid(pid, 0)


def test_elsewhere_nothing_is_started(asked: Path) -> None:
    assert keep_awake(4242, "linux") is None
    assert not asked.exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="it is there")
def test_a_mac_without_it_is_no_trouble() -> None:
    assert keep_awake(4242, "darwin") is None
