"""Words that stand alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from trainwatch.runner.accidents.stray import stray

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("import os\nprint(1)\nEOF\n", "shell.heredoc-name", 3),
        ("import os\nl\nprint(os)\n", "shell.stray", 2),
        ("cat > t.py << 'END'\nimport os\nEND\n", "shell.heredoc-name", 1),
        ("wq\n", "shell.stray", 1),
    ],
)
def test_they_are_found(text: str, rule: str, line: int) -> None:
    accident = stray(ast.parse(text), "train.py")
    assert accident is not None
    assert accident.rule == rule
    assert f"line {line} of train.py" in accident.summary


@pytest.mark.parametrize(
    "text",
    [
        "df = 1\ndf\n",
        "from x import *\ndf\n",
        "def f(): pass\nf\n",
        "print\n",
        "__file__\n",
        "exec('a = 1')\na\n",
        "globals()['a'] = 1\na\n",
        "for i in []:\n    pass\ni\n",
        "try:\n    EOF\nexcept NameError:\n    pass\n",
        "...\n'text'\n1\n",
    ],
)
def test_what_may_have_a_meaning_is_left_alone(text: str) -> None:
    assert stray(ast.parse(text), "train.py") is None


def test_none_in_code_that_works() -> None:
    for folder in ("examples", "runner", "probes", "tests/support"):
        for path in (ROOT / folder).rglob("*.py"):
            assert stray(ast.parse(path.read_text()), path.name) is None, path
