"""
The process that simulates, played by shell scripts: no torch here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulator import Simulator, find_python, packages

PLAN = Plan({"model_type": "llama"})
ANSWER = {
    "method": "formula",
    "reason": "aten.nonzero.default: DynamicOutputShapeException",
    "peaks": [
        {"step": 1, "phase": "forward", "bytes": 30, "bill": {}},
        {"step": 1, "phase": "backward", "bytes": 40, "bill": {}},
    ],
    "parameters": 100,
    "trainable": 10,
    "targets": ["q_proj"],
    "seconds": 0.5,
    "rss": 1000,
    "versions": {},
    "trace": None,
}


def program(file: Path, script: str) -> str:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_an_answer_is_read(tmp_path: Path) -> None:
    python = program(tmp_path / "p", f"read plan; echo '{json.dumps(ANSWER)}'; cat")
    with Simulator(python) as simulator:
        found = simulator.simulate(PLAN)
    assert (found.peak.phase, found.peak.bytes) == ("backward", 40)
    assert found.method == "formula"
    assert found.targets == ("q_proj",)
    assert found.trace is None


def test_a_refusal_is_an_error_of_one_line(tmp_path: Path) -> None:
    python = program(
        tmp_path / "p", """read plan; echo '{"refused": "no layers"}'; cat"""
    )
    with Simulator(python) as simulator, pytest.raises(RefusedError, match="no layers"):
        simulator.simulate(PLAN)


def test_a_process_that_dies_says_how_and_the_next_plan_starts_another(
    tmp_path: Path,
) -> None:
    once = tmp_path / "once"
    script = (
        f"read plan\n"
        f"if [ -e {once} ]; then echo '{json.dumps(ANSWER)}'; cat; exit; fi\n"
        f"touch {once}; echo 'Illegal instruction' >&2; kill -9 $$"
    )
    with Simulator(program(tmp_path / "p", script)) as simulator:
        with pytest.raises(RefusedError) as raised:
            simulator.simulate(PLAN)
        assert str(raised.value) == (
            "the simulation died (signal 9): Illegal instruction"
        )
        assert simulator.simulate(PLAN).peak.bytes == 40


def test_a_process_that_does_not_start(tmp_path: Path) -> None:
    python = program(tmp_path / "p", "echo 'ImportError: broken' >&2; exit 1")
    with (
        Simulator(python) as simulator,
        pytest.raises(RefusedError, match=r"died \(exit code 1\): ImportError: broken"),
    ):
        simulator.simulate(PLAN)


def test_what_is_missing_is_said_of_the_python_that_was_named() -> None:
    with pytest.raises(RefusedError) as raised:
        find_python(sys.executable, ["json", "no_torch_here", "nor_this"])
    assert f"{sys.executable} has no no_torch_here, nor_this" in str(raised.value)
    assert find_python(sys.executable, ["json"]) == sys.executable


def test_the_first_python_that_has_them_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python", "echo True")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_python(None, ["no_torch_here"]) == str(tmp_path / "python")
    program(tmp_path / "python", "echo False")
    with pytest.raises(RefusedError, match=r"is older than Python 3\.10"):
        find_python(None, ["no_torch_here"])
    with pytest.raises(RefusedError, match="nowhere is not a program"):
        find_python("nowhere", [])


def test_what_a_plan_needs() -> None:
    assert packages(PLAN)[-1] == "peft"
    assert packages(Plan({}, method="full", trainer="trl"))[-1] == "trl"
