"""One script, bare and supervised: the same tokens, and the same first token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import sequences
from support.runs import Trainwatch

SCRIPT = sequences.__file__
AGREE_S = 0.005
LIMIT_S = 900


def check(trainwatch: Trainwatch, *model: str) -> None:
    """
    The tokens of `sequences.py` do not depend on being watched, and the time to
    the first token is the script's own.
    """
    bare, watched = trainwatch.cwd / "bare.json", trainwatch.cwd / "watched.json"
    words = [sys.executable, SCRIPT]
    subprocess.run([*words, str(bare), *model], check=True, timeout=LIMIT_S)
    done = trainwatch(
        *("run", "--plain", "--", *words, str(watched), *model), timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout[-3000:]
    expected, facts = read(bare), read(watched)
    timed = facts.pop("ttft_s")
    expected.pop("ttft_s")
    assert facts["tokens"] == [sequences.TOKENS] * 2
    assert facts["greedy"] != facts["sampled"]
    assert facts == expected

    document = trainwatch.show()
    assert document["probe"]["errors"] == []
    (process,) = (p for p in document["processes"] if p["generations"])
    first, second, *short = process["generations"]
    for generation in (first, second):
        assert (generation["tokens"], generation["done"]) == (sequences.TOKENS, True)
        assert generation["hit_cap"]
        assert generation["use_cache"]
        decoded = generation["seconds"] - generation["ttft_s"]
        assert 0 < generation["inter_token_s"] < 2 * decoded / sequences.TOKENS
    told = [generation["ttft_s"] for generation in short]
    off = [abs(a - b) for a, b in zip(told, timed, strict=True)]
    assert min(timed) > 2 * AGREE_S, "the clock would agree with zero"
    assert min(off) < AGREE_S, (told, timed)
    assert process["generated"]["calls"] == 2 + sequences.TIMED
    assert process["generated"]["cap_share"] == 1.0


def read(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts
