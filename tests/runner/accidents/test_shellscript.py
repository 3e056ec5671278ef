"""Scripts that a shell runs."""

from __future__ import annotations

import pytest

from trainwatch.runner.accidents.shellscript import first_line, slips


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("#!/bin/bash\r\npython a.py\r\n", "shell.carriage-return"),
        ("python a.py \\ \n  --lr 1\n", "shell.backslash"),
        ("python a.py —lr 1\n", "shell.dash"),
        ("export X=“a”\necho “hi”\n", "shell.quotes"),
        ("cat > a.py <<'EOF'\nprint(1)\n EOF\n", "shell.heredoc-open"),
    ],
)
def test_slips(text: str, rule: str) -> None:
    assert [accident.rule for accident in slips(text, "run.sh")] == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/bash\npython a.py \\\n  --lr 1\n",
        "cat > a.py <<'EOF'\nprint('“hi” – \\ ')\nEOF\n",
        "cat <<-END\n\tx\n\tEND\n",
        "# — a comment “here” \\ \n",
        "echo a – b\n",
        "x=`date`\n",
        "echo $((1 << 3))\n",
    ],
)
def test_ordinary_scripts(text: str) -> None:
    assert slips(text, "run.sh") == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("#!/usr/bin/env python3\r\nx\r\n", "shell.carriage-return"),
        ("\ufeff#!/usr/bin/env python3\n", "shell.encoding"),
        ("#!/usr/bin/python2\n", "shell.python2"),
        ("#!/usr/bin/env python3\n", None),
        ("import torch\r\n", None),
    ],
)
def test_first_line(text: str, rule: str | None) -> None:
    found = first_line(text, "train.py")
    assert (found.rule if found else None) == rule
