"""One look at a command before it goes wrong."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.accidents.inquiry import Inquiry
from trainwatch.runner.accidents.interpreter import Interpreter, at, of_command
from trainwatch.runner.accidents.look import look
from trainwatch.runner.accidents.script import read, script_of
from trainwatch.runner.state import EMPTY

ROOT = Path(__file__).parents[3]


def seen(tmp_path: Path, text: str | bytes, *words: str) -> list[str]:
    script = tmp_path / "train.py"
    script.write_bytes(text.encode() if isinstance(text, str) else text)
    argv = [sys.executable, "train.py", *words]
    return [accident.rule for accident in look(argv, str(tmp_path), {}).accidents]


def test_a_good_script_is_left_alone(tmp_path: Path) -> None:
    assert seen(tmp_path, "import torch\nprint(torch)\n", "--lr", "1e-4") == []
    assert seen(tmp_path, b"\xef\xbb\xbfprint(1)\r\n") == []
    assert seen(tmp_path, b"# -*- coding: latin-1 -*-\n" + b"x = '\xe9'\n") == []


def test_the_examples_are_good() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        found = look([sys.executable, str(path)], str(ROOT), {})
        assert found.accidents == (), path


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("kimport torch\n", "shell.stray"),
        ("print(1)\nEOF\n", "shell.heredoc-name"),
        (b"x = '\xe9'\n", "shell.encoding"),
        ("x=1\n".encode("utf-16"), "shell.encoding"),
    ],
)
def test_what_will_fail_is_said(tmp_path: Path, text: str | bytes, rule: str) -> None:
    assert seen(tmp_path, text) == [rule]


def test_a_module_is_hidden_only_by_a_package_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    text = "from datasets import load_dataset\n"
    assert seen(tmp_path, text) == []
    (tmp_path / "datasets/__init__.py").touch()
    assert seen(tmp_path, text) == ["shell.shadow"]


def test_a_module_of_ones_own_is_meant(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("def gain(x):\n    return x\nLIMIT = 3\n")
    assert seen(tmp_path, "from statistics import gain, LIMIT\n") == []
    assert seen(tmp_path, "from statistics import mean\n") == ["shell.shadow"]


def test_where_the_python_is_not_known_it_is_possible(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("kimport torch\n")
    found = look(["uv", "run", "train.py"], str(tmp_path), {"PATH": ""}).accidents
    assert [(a.rule, a.status) for a in found] == [("shell.stray", "possible")]


def test_an_optional_import_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "try:\n    import torch\nexcept ImportError: 1\n"
    )
    for name, module in (("bare", "numpy"), ("venv", "torch")):
        packages = tmp_path / name / "lib/python3.12/site-packages" / module
        packages.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("version = 3.12.1\n")
        (tmp_path / name / "bin").mkdir()
        (tmp_path / name / "bin/python").symlink_to(sys.executable)
    assert look(["bare/bin/python", "train.py"], str(tmp_path), {}).accidents == ()


def test_a_python_without_torch_beside_one_with_it(tmp_path: Path) -> None:
    for name, module in (("bare", "numpy"), ("venv", "torch")):
        packages = tmp_path / name / "lib/python3.12/site-packages" / module
        packages.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("version = 3.12.1\n")
        (tmp_path / name / "bin").mkdir()
        (tmp_path / name / "bin/python").symlink_to(sys.executable)
    (tmp_path / "train.py").write_text("import torch\n")
    for name, rules in (("bare", ["shell.interpreter"]), ("venv", [])):
        argv = [f"{name}/bin/python", "train.py"]
        found = look(argv, str(tmp_path), {})
        assert [accident.rule for accident in found.accidents] == rules


def test_the_script_behind_launchers(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    (tmp_path / "run.sh").write_text("#!/bin/bash\n")
    (tmp_path / "tool").write_bytes(b"\x7fELF\0\0")
    for argv, name, language in (
        (["torchrun", "--nproc-per-node", "2", "train.py"], "train.py", "python"),
        (["accelerate", "launch", "train.py", "a.py"], "train.py", "python"),
        (["bash", "run.sh"], "run.sh", "shell"),
        (["./run.sh"], "./run.sh", "shell"),
        (["./tool"], None, None),
        (["python", "-c", "train.py"], None, None),
        (["python", "missing.py"], None, None),
    ):
        script = script_of(argv, str(tmp_path))
        assert (script.name if script else None) == name, argv
        assert (script.language if script else None) == language, argv


def test_a_folder_or_a_giant_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").mkdir()
    assert read(tmp_path / "a.py", "a.py") is None
    with (tmp_path / "b.py").open("wb") as file:
        file.truncate(3 << 20)
    assert read(tmp_path / "b.py", "b.py") is None


def test_what_a_python_is_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin/python"
    shim.write_text("#!/bin/sh\nexec other\n")
    assert at(shim) == Interpreter(shim)
    assert at(shim).has("torch") is None
    tool = tmp_path / "bin/torchrun"
    tool.write_text(f"#!{sys.executable}\n")
    tool.chmod(0o755)
    found = of_command(["bin/torchrun", "x.py"], str(tmp_path), {"PATH": ""})
    assert found is not None
    assert str(found.program) == sys.executable
    assert found.version == sys.version_info[:2]
    assert of_command(["ls"], str(tmp_path), {"PATH": ""}) is None


def test_another_python_is_asked_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainwatch.runner.accidents.interpreter.ours", lambda: (2, 0))
    (tmp_path / "train.py").write_text("import os\nkimport torch\n")
    inquiry = Inquiry([sys.executable, "train.py"], str(tmp_path), {})
    assert inquiry.tick() == []
    deadline = time.monotonic() + 30
    found: list[ev.FindingRaised] = []
    while not found and time.monotonic() < deadline:
        found = inquiry.tick()
        time.sleep(0.01)
    assert [body.rule for body in found] == ["shell.stray"]
    assert not found[0].ended


def test_a_shell_tells_no_exception(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"cd data\r\n./go\r\n")
    (tmp_path / "console.log").write_text("run.sh: line 1: cd: no such thing\n")
    inquiry = Inquiry(["bash", "run.sh"], str(tmp_path), {"PATH": "/usr/bin:/bin"})
    (seen,) = inquiry.tick()
    assert not seen.ended
    (found,) = inquiry.ended(127, tmp_path)
    assert (found.rule, found.ended) == ("shell.carriage-return", True)
    assert "likely, not certain" in found.evidence


def test_only_the_first_failure_is_why_it_ended(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    inquiry = Inquiry(["python", "train.py"], str(tmp_path), {}, first=False)
    assert inquiry.tick() == []
    text = "FileNotFoundError: [Errno 2] No such file or directory: 'trian.jsonl'"
    error = ev.ExceptionRaised(kind="FileNotFoundError", message=text)
    in_thread = ev.ExceptionRaised(
        kind="FileNotFoundError", message=f"in thread T: {text}"
    )
    assert inquiry.event(ev.of(in_thread, time=1.0), EMPTY) == []
    (found,) = inquiry.event(ev.of(error, time=1.0), EMPTY)
    assert found.ended
    assert inquiry.event(ev.of(error, time=1.0), EMPTY) == []
    assert inquiry.ended(1, tmp_path) == []


def test_the_python_of_a_process_is_the_one_it_told(tmp_path: Path) -> None:
    for name, module in (("bare", "numpy"), (".venv", "torch")):
        packages = tmp_path / name / "lib/python3.12/site-packages" / module
        packages.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("version = 3.12.1\n")
        (tmp_path / name / "bin").mkdir()
        (tmp_path / name / "bin/python").symlink_to(sys.executable)
    inquiry = Inquiry(["bash", "-c", "…"], str(tmp_path), {}, first=False)
    joined = ev.ProcessJoined(executable=str(tmp_path / "bare/bin/python"))
    assert inquiry.event(ev.of(joined, time=1.0, pid=7), EMPTY) == []
    text = "ModuleNotFoundError: No module named 'torch'"
    error = ev.ExceptionRaised(kind="ModuleNotFoundError", message=text)
    (found,) = inquiry.event(ev.of(error, time=1.0, pid=7), EMPTY)
    assert found.do == "Run it with .venv/bin/python"


@pytest.mark.parametrize("code", [0, None, -9])
def test_an_end_without_a_failure_is_not_explained(
    code: int | None, tmp_path: Path
) -> None:
    (tmp_path / "console.log").write_text("error: unrecognized arguments: --lr1e-4\n")
    inquiry = Inquiry(["python"], str(tmp_path), {}, first=False)
    assert inquiry.ended(code, tmp_path) == []


def test_the_output_explains_an_end_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_text(
        "usage: x [--lr LR]\nx: error: unrecognized arguments: --lr1e-4\n"
    )
    inquiry = Inquiry(["python"], str(tmp_path), {}, first=False)
    (found,) = inquiry.ended(2, tmp_path)
    assert (found.rule, found.kind, found.ended) == ("shell.glued", "shell", True)
