"""What earlier good runs have said."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from trainwatch.runner.state import TriagedWarning
from trainwatch.runner.triage.known import MAX_FAMILIES, recall, remember, script_of


def warned(*keys: str, severity: str = "harmless") -> list[TriagedWarning]:
    return [TriagedWarning(key=key, severity=severity) for key in keys]


@pytest.mark.parametrize(
    ("argv", "script"),
    [
        (["python", "train.py", "--lr", "1e-4"], "/home/ada/train.py"),
        (["/v/bin/python3.11", "-u", "./train.py"], "/home/ada/train.py"),
        (["python", "/x/train.py"], "/x/train.py"),
        (["torchrun", "--nproc_per_node", "2", "train.py"], "/home/ada/train.py"),
        (["accelerate", "launch", "a/train.py"], "/home/ada/a/train.py"),
        (["python", "-m", "torch.distributed.run", "t.py"], "/home/ada/t.py"),
        (["uv", "run", "t.py"], "/home/ada/t.py"),
        (["python", "-m", "my.module", "x.py"], "/home/ada: -m my.module"),
        (
            ["llamafactory-cli", "train", "a.yaml"],
            "/home/ada: llamafactory-cli train a.yaml",
        ),
    ],
)
def test_the_script_is_what_stays_the_same(argv: list[str], script: str) -> None:
    assert script_of(argv, "/home/ada") == script


def test_families_of_good_runs_are_known(tmp_path: Path) -> None:
    assert recall(tmp_path, "t.py") is None
    remember(tmp_path, "t.py", "run-1", warned("a", "b"))
    remember(tmp_path, "t.py", "run-2", warned("b", "c"))
    known = recall(tmp_path, "t.py")
    assert known is not None
    assert (known.run, known.families) == ("run-2", {"a", "b", "c"})
    assert recall(tmp_path, "other.py") is None


def test_what_was_serious_is_never_known(tmp_path: Path) -> None:
    remember(tmp_path, "t.py", "r", [*warned("a"), *warned("b", severity="serious")])
    known = recall(tmp_path, "t.py")
    assert known is not None
    assert known.families == {"a"}


def test_it_stays_small(tmp_path: Path) -> None:
    remember(tmp_path, "t", "1", warned(*(f"old{n}" for n in range(MAX_FAMILIES))))
    remember(tmp_path, "t", "2", warned("new", "old0"))
    known = recall(tmp_path, "t")
    assert known is not None
    assert len(known.families) == MAX_FAMILIES
    assert {"new", "old0"} <= known.families
    assert "old1" not in known.families


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "families": 3}', "\udcff"]
)
def test_a_damaged_file_is_no_knowledge_and_is_replaced(
    tmp_path: Path, text: str
) -> None:
    remember(tmp_path, "t", "1", warned("a"))
    (file,) = (tmp_path / "known").glob("*.json")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert recall(tmp_path, "t") is None
    remember(tmp_path, "t", "2", warned("b"))
    known = recall(tmp_path, "t")
    assert known is not None
    assert known.families == {"b"}


def _finish(folder: str, number: int) -> None:
    for turn in range(10):
        remember(Path(folder), "t", f"run-{number}", warned(f"{number}-{turn}"))


def test_runs_that_end_at_once_both_get_in(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_finish, args=(str(tmp_path), n)) for n in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    (file,) = (tmp_path / "known").glob("*.json")
    families = json.loads(file.read_text())["families"]
    assert set(families) == {f"{n}-{turn}" for n in range(3) for turn in range(10)}
    assert sorted(p.suffix for p in file.parent.iterdir()) == [".json", ".lock"]
