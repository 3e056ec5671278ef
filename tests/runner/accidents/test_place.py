"""The file that was meant."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trainwatch.runner.accidents import place


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in (
        "project/train.py",
        "project/data/train.jsonl",
        "project/other/eval.jsonl",
        "project/.git/train.jsonl",
        "project/scripts/run.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("name", "start", "found"),
    [
        ("trian.py", ".", "train.py"),
        ("Train.py", ".", "train.py"),
        ("data/train.jsonl", "scripts", "data/train.jsonl"),
        ("train.jsonl", ".", "data/train.jsonl"),
        ("run.py", "data", "scripts/run.py"),
        ("data/trian.jsonl", ".", "data/train.jsonl"),
        ("nothing.bin", ".", None),
        ("", ".", None),
        ("/", ".", None),
    ],
)
def test_nearby(project: Path, name: str, start: str, found: str | None) -> None:
    near = place.nearby(name, project / start)
    assert near[:1] == ([project / found] if found else [])


@pytest.mark.parametrize(
    ("command", "found"),
    [("acelerate", "accelerate"), ("acc", None), ("./acelerate", None)],
)
def test_a_mistyped_program(command: str, found: str | None, tmp_path: Path) -> None:
    for name in ("accelerate", "torchrun"):
        (tmp_path / name).touch()
    assert place.program_like(command, f"{tmp_path}:/nowhere") == found


def test_the_search_is_bounded(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for file in range(150):
            (folder / f"{file}.txt").touch()
    began = time.monotonic()
    assert place.nearby("wanted.jsonl", tmp_path) == []
    assert time.monotonic() - began < 20 * place.SECONDS
    walked = list(place._walk(tmp_path))
    assert len(walked) <= place.ENTRIES
