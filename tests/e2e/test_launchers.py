"""Wherever a training is started from, its ranks are found and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch, only_run, until
from support.screen import Screen

SCRIPTS = Path(__file__).parent / "scripts"
RANKS = str(SCRIPTS / "ranks.py")
STEPS = 4
HERE = Path(sys.executable).parent

pytestmark = pytest.mark.e2e


def watched(
    trainwatch: Trainwatch, *words: str, code: int = 0, **environment: str
) -> dict[str, Any]:
    """`show --json` of a run that ended with `code`."""
    done = trainwatch(
        "run",
        "--plain",
        "--",
        *words,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=300,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    document = trainwatch.show()
    assert document["run"]["exit_code"] == code
    return document


def roles(document: dict[str, Any]) -> list[str]:
    return sorted(process["role"] for process in document["processes"])


def ranks(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(rank, world size, steps) of the training processes."""
    return sorted(
        (p["rank"], p["world_size"], p["steps"]["count"])
        for p in document["processes"]
        if p["role"] == "rank"
    )


TWO = [(0, 2, STEPS), (1, 2, STEPS)]


def complete(document: dict[str, Any]) -> bool:
    """No probe failed, nothing was lost or could not be seen."""
    probe = document["probe"]
    assert (probe["errors"], probe["dropped"]) == ([], 0)
    assert [p["unseen"] for p in document["processes"] if p["unseen"]] == []
    return True


# --- several ranks ---


def test_torchrun(trainwatch: Trainwatch) -> None:
    words = ("--standalone", "--nproc_per_node", "2", RANKS, "ddp")
    document = watched(trainwatch, str(HERE / "torchrun"), *words)
    assert ranks(document) == TWO
    assert roles(document) == ["launcher", "rank", "rank"]
    assert sorted(
        p["local_rank"] for p in document["processes"] if p["role"] == "rank"
    ) == [0, 1]
    assert complete(document)


def test_accelerate_launch(trainwatch: Trainwatch) -> None:
    """On CPUs `--cpu` starts one process; `--multi_gpu` starts as many as told."""
    pytest.importorskip("accelerate")
    words = ("launch", "--multi_gpu", "--num_processes", "2", "--main_process_port")
    document = watched(
        trainwatch, str(HERE / "accelerate"), *words, "0", RANKS, "accelerate"
    )
    assert ranks(document) == TWO
    assert roles(document) == ["launcher", "rank", "rank"]
    assert complete(document)


def test_ranks_of_multiprocessing(trainwatch: Trainwatch) -> None:
    document = watched(trainwatch, sys.executable, RANKS, "spawn")
    assert ranks(document) == TWO
    assert roles(document) == ["other", "rank", "rank"]
    assert complete(document)


def test_workers_of_loaders(trainwatch: Trainwatch) -> None:
    """Forked and spawned ones: no rank, no steps, no warning twice."""
    document = watched(trainwatch, sys.executable, RANKS, "loaders")
    assert ranks(document) == [(None, None, STEPS)]
    assert roles(document) == ["rank", "worker", "worker"]
    assert complete(document)
    console = Path(document["run"]["home"], "console.log").read_text()
    printed = [line for line in console.splitlines() if "UserWarning: a row" in line]
    assert len(printed) == 4
    told = [w for w in document["warnings"]["items"] if "a row read by" in w["text"]]
    assert sum(w["count"] for w in told) == len(printed)


# --- one process, in any environment ---


def test_a_module(trainwatch: Trainwatch) -> None:
    document = watched(
        trainwatch,
        sys.executable,
        "-m",
        "odd",
        "accumulation",
        PYTHONPATH=str(SCRIPTS),
    )
    assert ranks(document) == [(None, None, 2)]
    assert complete(document)


NOTEBOOK = """
import subprocess, sys, warnings
child = subprocess.Popen([sys.executable, "-c", "import warnings; warnings.warn('c')"])
print(child.pid, child.wait())
raise SystemExit(5)
"""


def test_a_process_that_a_notebook_starts(trainwatch: Trainwatch) -> None:
    document = watched(trainwatch, sys.executable, "-c", NOTEBOOK, code=5)
    assert [p["armed"] for p in document["processes"]] == [True, True]
    assert complete(document)
    console = Path(document["run"]["home"], "console.log").read_text()
    child, code = console.splitlines()[-1].split()
    assert code == "0"
    assert int(child) in [p["pid"] for p in document["processes"]]
    warned = [w for w in document["warnings"]["items"] if w["text"] == "c"]
    assert [(w["count"], w["source"]) for w in warned] == [(1, "warnings")]


WARNS = "import sys, warnings; warnings.warn('w'); print(sys.version_info[:2])"


def pythons() -> list[str]:
    """The system's Python and one of each other version that works here."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = ["/usr/bin/python3"] if works("/usr/bin/python3") else []
    for minor in range(9, 15):
        name = f"python3.{minor}"
        known = [shutil.which(name), *pyenv.glob(f"3.{minor}.*/bin/{name}")]
        working = [str(path) for path in known if path and works(path)]
        found += working[:1]
    return found


def works(path: str | Path) -> bool:
    """Not a shim for a version that is not installed; new enough to watch."""
    test = "import sys; sys.exit(sys.version_info < (3, 9))"
    try:
        return not subprocess.run([path, "-c", test], capture_output=True).returncode
    except OSError:
        return False


@pytest.mark.parametrize("python", pythons())
def test_another_python(trainwatch: Trainwatch, python: str) -> None:
    document = watched(trainwatch, python, "-c", WARNS)
    told_by_itself(document)


def test_another_environment(trainwatch: Trainwatch, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")],
        check=True,
    )
    told_by_itself(watched(trainwatch, str(python), "-c", WARNS))


def test_uv_run(trainwatch: Trainwatch) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(HERE))
    if uv is None:
        pytest.skip("uv is not installed")
    words = ("run", "--no-project", "--python", sys.executable, "python", "-c", WARNS)
    told_by_itself(watched(trainwatch, uv, *words))


def told_by_itself(document: dict[str, Any]) -> None:
    """The process has probes, which saw its warning."""
    (process,) = document["processes"]
    assert (process["armed"], process["role"]) == (True, "other")
    warned = [w for w in document["warnings"]["items"] if w["text"] == "w"]
    assert [(w["count"], w["source"]) for w in warned] == [(1, "warnings")]
    assert document["probe"]["log_only"] is None
    assert complete(document)


# --- log-only mode ---


@pytest.mark.parametrize("option", ["-E", "-I", "-S"])
def test_log_only_mode(trainwatch: Trainwatch, option: str) -> None:
    document = watched(
        trainwatch,
        sys.executable,
        option,
        "-c",
        "print(1); raise SystemExit(3)",
        code=3,
    )
    assert document["processes"] == []
    assert document["probe"]["log_only"] == f"python {option} keeps probes out"
    assert document["verdict"]["facts"][1] == (
        f"log-only mode: python {option} keeps probes out"
    )


@pytest.mark.parametrize("size", [(24, 80), (40, 120)])
def test_log_only_mode_on_the_screen(
    trainwatch: Trainwatch, tmp_path: Path, size: tuple[int, int]
) -> None:
    rows, columns = size
    words = (sys.executable, "-I", "-c", "input('go on? ')")
    screen = Screen("run", "--", *words, cwd=tmp_path, rows=rows, columns=columns)
    mode = "log-only mode: python -I keeps probes out"
    footer = f"{mode}; output, host and files are watched"
    screen.wait_for("go on?", "WORKING", footer)
    until(lambda: screen.text().count(mode) == 2, "it in the headline and below")
    folder = only_run(trainwatch.home)
    os.kill(json.loads((folder / "run.json").read_text())["child"], 15)
    screen.wait_for("KILLED", footer)
    until(lambda: screen.text().count(mode) == 2, "it in the headline and below")
    screen.press("q")
    screen.wait_end()
