"""Which slip ended a program, by what it raised or wrote last."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainwatch.runner.accidents.failure import Failure, Setting, said
from trainwatch.runner.accidents.missing import not_opened
from trainwatch.runner.accidents.reasons import explain
from trainwatch.runner.accidents.usage import refused


def setting(tmp_path: Path, *words: str) -> Setting:
    return Setting(["python", "train.py", *words], str(tmp_path), {"PATH": ""})


def trace(path: Path, line: int, code: str, last: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        f'  File "{path}", line {line}, in <module>\n    {code}\n{last}\n'
    )


def test_a_stray_letter(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import os\nkimport torch\n")
    text = f'  File "{script}", line 2\n    kimport torch\nSyntaxError: invalid syntax'
    found = explain(Failure("SyntaxError", text, text), setting(tmp_path))
    assert found is not None
    assert found.summary == "a stray “k” stands before `import` on line 2 of train.py"
    assert found.do == "Delete it: line 2 of train.py."
    assert found.evidence[0] == "SyntaxError: invalid syntax"
    assert found.severity == "serious"


def test_the_slip_is_in_another_file_than_the_script(tmp_path: Path) -> None:
    module = tmp_path / "lib" / "data.py"
    module.parent.mkdir()
    module.write_text("x = “a”\n")
    text = (
        f'Traceback (most recent call last):\n  File "{tmp_path}/train.py", line 1, in '
        f'<module>\n    import data\n  File "{module}", line 1\n    x = “a”\n'
        "SyntaxError: invalid character '“' (U+201C)"
    )
    found = explain(Failure("SyntaxError", text, text), setting(tmp_path))
    assert found is not None
    assert found.summary.endswith("on line 1 of lib/data.py")


def test_a_library_for_another_python_is_no_slip_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "v/lib/python3.9/site-packages/trl/x.py"
    text = f'  File "{path}", line 2\n    match x:\nSyntaxError: invalid syntax'
    found = explain(Failure("SyntaxError", text, text), setting(tmp_path))
    assert found is not None
    assert found.kind == "incompatibility"


def test_the_end_mark_of_a_heredoc(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("x = 1\nEOF\n")
    text = trace(script, 2, "EOF", "NameError: name 'EOF' is not defined")
    error = Failure("NameError", "NameError: name 'EOF' is not defined", text)
    found = explain(error, setting(tmp_path))
    assert found is not None
    assert found.rule == "shell.heredoc-name"


def test_a_name_inside_an_expression_is_no_slip(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("x = 1\nprint(model)\n")
    last = "NameError: name 'model' is not defined"
    error = Failure("NameError", last, trace(script, 2, "print(model)", last))
    assert explain(error, setting(tmp_path)) is None


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("AttributeError", "module 'random' has no attribute 'random'"),
        (
            "AttributeError",
            "partially initialized module 'random' has no attribute 'randint' "
            "(most likely due to a circular import)",
        ),
        ("ImportError", "cannot import name 'randint' from 'random' ({path})"),
        (
            "ImportError",
            "cannot import name 'randint' from partially initialized module 'random' "
            "(most likely due to a circular import) ({path})",
        ),
        (
            "ImportError",
            "cannot import name 'randint' from 'random' (consider renaming '{path}' "
            "since it has the same name as the standard library module named 'random' "
            "and prevents importing that standard library module)",
        ),
        (
            "ModuleNotFoundError",
            "No module named 'random.x'; 'random' is not a package",
        ),
    ],
)
def test_a_file_that_hides_a_module(kind: str, message: str, tmp_path: Path) -> None:
    script, other = tmp_path / "train.py", tmp_path / "random.py"
    script.write_text("")
    other.write_text("")
    text = f"{kind}: {message.format(path=other)}"
    error = Failure(kind, text, trace(script, 1, "import random", text))
    found = explain(error, setting(tmp_path))
    assert found is not None
    assert (found.rule, found.status) == ("shell.shadow", "established")
    assert "Rename random.py" in found.do


def test_a_name_that_a_library_lacks_is_no_shadow(tmp_path: Path) -> None:
    text = (
        "ImportError: cannot import name 'AdamW' from 'transformers' "
        "(/v/lib/python3.11/site-packages/transformers/__init__.py)"
    )
    (tmp_path / "transformers").mkdir()  # A folder of checkpoints, say.
    error = Failure("ImportError", text, trace(tmp_path / "t.py", 1, "x", text))
    found = explain(error, setting(tmp_path))
    assert found is None or found.rule != "shell.shadow"


def test_data_is_looked_for_in_the_wrong_folder(tmp_path: Path) -> None:
    (tmp_path / "project/data").mkdir(parents=True)
    (tmp_path / "project/data/train.jsonl").touch()
    text = "FileNotFoundError: [Errno 2] No such file or directory: 'data/train.jsonl'"
    found = explain(Failure("FileNotFoundError", text), setting(tmp_path))
    assert found is not None
    assert found.rule == "shell.wrong-folder"
    assert found.do.endswith("cd project")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'trian.jsonl'"),
        ("FileNotFoundError", "Unable to find '{folder}/trian.jsonl'"),
        (
            "HFValidationError",
            "Repo id must be in the form 'a/b': './trian.jsonl'. Use `repo_type`",
        ),
        (
            "OSError",
            "./trian.jsonl is not a local folder and is not a valid model identifier",
        ),
    ],
)
def test_a_name_that_was_mistyped(kind: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    text = f"{kind}: {message.format(folder=tmp_path)}"
    found = explain(Failure(kind, text), setting(tmp_path))
    assert found is not None
    assert found.do == "Use train.jsonl"
    assert found.status == "possible"


def test_a_program_that_is_not_installed(tmp_path: Path) -> None:
    text = "FileNotFoundError: [Errno 2] No such file or directory: 'nvcc'"
    path = Path("/usr/lib/python3.11/subprocess.py")
    error = Failure("FileNotFoundError", text, trace(path, 1, "x", text))
    found = explain(error, setting(tmp_path))
    assert found is not None
    assert found.summary == "there is no program nvcc"


def test_a_module_that_another_python_here_has(tmp_path: Path) -> None:
    for name, module in (("bare", "numpy"), (".venv", "torch")):
        packages = tmp_path / name / "lib/python3.12/site-packages" / module
        packages.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("version = 3.12.1\n")
        (tmp_path / name / "bin").mkdir()
        (tmp_path / name / "bin/python").symlink_to(sys.executable)
    text = "ModuleNotFoundError: No module named 'torch'"
    run = Setting(["bare/bin/python", "train.py"], str(tmp_path), {"PATH": ""})
    found = explain(Failure("ModuleNotFoundError", text), run)
    assert found is not None
    assert found.rule == "shell.interpreter"
    assert found.do == "Run it with .venv/bin/python"
    assert found.status == "established"


def test_a_module_of_ones_own_that_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "src/mylib").mkdir(parents=True)
    (tmp_path / "src/mylib/__init__.py").touch()
    text = "ModuleNotFoundError: No module named 'mylib'"
    found = explain(Failure("ModuleNotFoundError", text), setting(tmp_path))
    assert found is not None
    assert found.rule == "shell.wrong-folder"
    assert "PYTHONPATH=src" in found.do


def test_a_module_that_is_nowhere(tmp_path: Path) -> None:
    text = "ModuleNotFoundError: No module named 'yaml'"
    found = explain(Failure("ModuleNotFoundError", text), setting(tmp_path))
    assert found is not None
    assert found.do == "python -m pip install pyyaml"


USAGE = """\
usage: train.py [-h] [--lr LR] [--batch-size N] [--output OUT]
train.py: error: unrecognized arguments: {words}
"""


@pytest.mark.parametrize(
    ("words", "do"),
    [
        ("--lr1e-4", "Write --lr 1e-4"),
        ("--batchsize 4", "Write --batch-size"),
        ("--nonsense", "Look at its --help for the name."),
        ("–lr 1e-4", "Retype it: --lr"),
    ],
)
def test_arguments_that_the_program_refused(words: str, do: str) -> None:
    found = refused(USAGE.format(words=words), ["python", "train.py"])
    assert found is not None
    assert found.do == do
    assert found.rule.startswith("shell.")


@pytest.mark.parametrize(
    ("error", "do"),
    [
        ("argument --lr: invalid float value: '2e-5--output'", "Write 2e-5 --output"),
        ("argument --lr: invalid float value: 'x'", "Look at its --help, and at"),
        ("the following arguments are required: --output", "Look at its --help, and"),
    ],
)
def test_values_that_the_program_refused(error: str, do: str) -> None:
    text = USAGE.partition("error:")[0] + f"error: {error}\n"
    found = refused(text, ["python", "train.py"])
    assert found is not None
    assert found.do.startswith(do)
    cut = refused(text, ["python", "train.py", "--lr", "1", " "])
    assert cut is not None
    if "required" in error:
        assert cut.rule == "shell.backslash"
    assert refused("ERROR: loss: error: 5\n", ["python"]) is None


def test_a_parser_of_transformers_refuses_too(tmp_path: Path) -> None:
    text = (
        "ValueError: Some specified arguments are not used by the HfArgumentParser: "
        "['--lr1e-4']"
    )
    found = explain(Failure("ValueError", text), setting(tmp_path, "--lr1e-4"))
    assert found is not None
    assert found.do == "Write --lr 1e-4"


def test_a_script_behind_a_launcher_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    text = f"python3: can't open file '{tmp_path}/trian.py': [Errno 2] No such file"
    found = not_opened(text, str(tmp_path))
    assert found is not None
    assert found.do == "Use train.py"


def test_a_script_of_the_shell_with_windows_line_ends(tmp_path: Path) -> None:
    text = f"python: can't open file '{tmp_path}/train.py\\r': [Errno 2] No such file"
    found = not_opened(text, str(tmp_path))
    assert found is not None
    assert found.rule == "shell.carriage-return"


def test_without_a_probe_the_output_tells_the_failure() -> None:
    text = (
        "step 1\n"
        + trace(Path("/a/old.py"), 1, "x", "ValueError: first")
        + "more\n"
        + trace(Path("/a/t.py"), 3, "open(x)", "FileNotFoundError: [Errno 2] 'x'")
        + "bye\n"
    )
    found = said(text)
    assert found is not None
    assert found.kind == "FileNotFoundError"
    assert found.last == ("/a/t.py", 3)
    assert said("all is well\n") is None


@pytest.mark.parametrize(
    "failure",
    [
        Failure("RuntimeError", "RuntimeError: CUDA out of memory"),
        Failure("KeyError", "KeyError: 'text'"),
        Failure("ValueError", "ValueError: bad"),
        Failure("OSError", "OSError: [Errno 28] No space left on device: '/x/y.pt'"),
        Failure("OSError", "OSError: Qwen/Qwen9 is not a local folder and is not"),
        Failure("PermissionError", "PermissionError: [Errno 13] denied: '/x/y.pt'"),
        Failure("AttributeError", "AttributeError: 'NoneType' object has no x"),
        Failure("SyntaxError", "SyntaxError: ?"),
        Failure("ImportError", "ImportError: libcudart.so.12: cannot open"),
    ],
)
def test_other_failures_are_no_accidents(failure: Failure, tmp_path: Path) -> None:
    assert explain(failure, setting(tmp_path)) is None
