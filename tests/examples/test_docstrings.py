"""The text of the examples is the same in every process and of some size."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from trainwatch.runner.demo import examples_folder

PROGRAM = "import json, docstrings; print(json.dumps(docstrings.pairs({})))"


def pairs(arguments: str, hash_seed: str = "0") -> list[list[str]]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments)],
        cwd=examples_folder(),
        env=dict(os.environ, PYTHONHASHSEED=hash_seed),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: list[list[str]] = json.loads(ended.stdout)
    return found


def test_pairs_do_not_depend_on_the_process() -> None:
    assert pairs("", hash_seed="1") == pairs("", hash_seed="2")


def test_there_is_enough_to_train_on() -> None:
    found = pairs("")
    assert len(found) > 500
    assert all(q.startswith("What does ") and len(a) >= 150 for q, a in found)
    assert not any(" at 0x" in question for question, _ in found)


def test_limit_and_seed_choose() -> None:
    first, other = pairs("20, seed=1"), pairs("20, seed=2")
    assert len(first) == len(other) == 20
    assert first != other
