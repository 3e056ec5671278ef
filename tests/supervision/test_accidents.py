"""A slip of a real run is named, and nothing that Python would run is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch


def ended(trainwatch: Trainwatch, *words: str, code: int = 1) -> tuple[str, Any]:
    """What plain mode printed, and the document of the run."""
    done = trainwatch("run", "--plain", "--", *words)
    assert done.returncode == code, done.stdout
    return done.stdout, trainwatch.show()


def test_a_stray_letter_is_the_headline(trainwatch: Trainwatch, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import os\nkimport torch\n")
    printed, document = ended(trainwatch, sys.executable, "train.py")
    what = "a stray “k” stands before `import` on line 2 of train.py"
    assert f"why it ended: {what}" in printed
    verdict = document["verdict"]
    assert (verdict["state"], verdict["kind"]) == ("failed", "shell")
    assert what in verdict["facts"][1]
    assert "Delete it: line 2" in verdict["facts"][1]
    (finding,) = document["findings"]
    assert (finding["rule"], finding["kind"]) == ("shell.stray", "shell")
    assert finding["ended"] is True


@pytest.mark.parametrize("option", ["--no-probes", None])
def test_the_wrong_folder_with_and_without_probes(
    option: str | None, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    (tmp_path / "project/data").mkdir(parents=True)
    (tmp_path / "project/data/train.jsonl").touch()
    (tmp_path / "train.py").write_text("open('data/train.jsonl')\n")
    words = [option] if option else []
    command = ["--plain", "--", sys.executable, "train.py"]
    done = trainwatch("run", *words, *command)
    assert done.returncode == 1
    document = trainwatch.show()
    assert document["verdict"]["kind"] == "shell"
    assert "cd project" in document["verdict"]["facts"][1]


def test_a_warning_stops_nothing(trainwatch: Trainwatch, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/random.py").write_text("value = 4\n")
    (tmp_path / "src/train.py").write_text(
        "import random, sys\nprint(random.value, sys.argv[1:])\n"
    )
    words = (sys.executable, "src/train.py", "--lr1e-4")
    printed, document = ended(trainwatch, *words, code=0)
    assert "| 4 ['--lr1e-4']" in printed
    rules = {f["rule"]: f for f in document["findings"]}
    assert set(rules) == {"shell.shadow", "shell.glued"}
    assert not any(finding["ended"] for finding in rules.values())
    assert document["verdict"]["state"] == "finished"


def test_a_usage_error_is_explained(trainwatch: Trainwatch, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\n"
        "p.add_argument('--learning-rate')\np.parse_args()\n"
    )
    words = (sys.executable, "train.py", "--learningrate", "1")
    _, document = ended(trainwatch, *words, code=2)
    assert "--learning-rate was probably meant" in document["verdict"]["facts"][1]


def test_a_missing_script_with_the_one_that_was_meant(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").touch()
    done = trainwatch("run", "--", sys.executable, "train.py")
    assert done.returncode == 2
    assert "did you mean src/train.py?" in done.stderr


def test_windows_line_ends_behind_the_first_line(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    script = tmp_path / "train.sh"
    script.write_bytes(b"#!/bin/sh\r\necho hello\r\n")
    script.chmod(0o755)
    done = trainwatch("run", "--", "./train.sh")
    assert done.returncode == 127
    assert "Windows line ends" in done.stderr
    assert done.stderr.count("\n") == 1
