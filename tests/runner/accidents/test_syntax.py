"""What stands behind a script that Python cannot read, by examples."""

from __future__ import annotations

import pytest

from trainwatch.runner.accidents.syntax import Fault, explain, fault

EXAMPLES = [
    ("kimport torch\n", "shell.stray", "“k” stands before `import` on line 1"),
    ("import os\nqfrom x import y\n", "shell.stray", "“q” stands before `from`"),
    ("x = 1\nj for i in x:\n    pass\n", "shell.stray", "“j” stands before `for`"),
    (":import torch\n", "shell.stray", "“:” stands before `import`"),
    ("import os\nx = 1)\n", "shell.stray", "“)” ends the statement on line 2"),
    (">>> import os\n>>> x = 1\n", "shell.pasted-mark", "prompt sign"),
    ("$ python train.py\n", "shell.pasted-mark", "command of the shell"),
    ("> import os\n> x = 1\n", "shell.pasted-mark", "prompt sign"),
    ("In [1]: import os\n", "shell.pasted-mark", "prompt sign"),
    ("1 import os\n2 x = 1\n", "shell.pasted-mark", "line number"),
    ("```python\nimport os\n```\n", "shell.pasted-mark", "code fence"),
    ("!pip install trl\nimport os\n", "shell.notebook", "notebook"),
    ("%matplotlib inline\nimport os\n", "shell.notebook", "notebook"),
    ("pip install trl\nimport os\n", "shell.pasted-mark", "command of the shell"),
    ("$ cd project\nimport os\n", "shell.pasted-mark", "command of the shell"),
    ("1\n2 import os\n3 x = 1\n", "shell.pasted-mark", "line number"),
    ("x = “hi”\nprint(‘a’)\n", "shell.quotes", "“ (U+201C, left double"),
    ("x = 5 – 3\n", "shell.quotes", "typographic dash – (U+2013, en dash)"),
    ("x\u00a0= 1\ny\u00a0= 2\n", "shell.blank", "(U+00A0, no-break space)"),
    ("x = 1\n\u200by = 2\n", "shell.blank", "(U+200B, zero width space)"),
    ("x\u00a0= “a”\n", "shell.quotes", "look-alikes"),
    ("if 1:\n    x=1\n\ty=2\n", "shell.indentation", "tabs and spaces"),
    ("x = 1 + \\ \n  2\n", "shell.backslash", "blank follows the backslash"),
    ("print 'a'\nprint 'b'\n", "shell.python2", "Python 2"),
    ("x\0= 1\n", "shell.encoding", "zero bytes"),
    (
        "x=1\n<<<<<<< HEAD\ny=1\n=======\ny=2\n>>>>>>> b\n",
        "shell.conflict",
        "conflict mark stands on line 2",
    ),
]


@pytest.mark.parametrize(("text", "rule", "words"), EXAMPLES)
def test_the_slip_is_named(text: str, rule: str, words: str) -> None:
    found = fault(text)
    assert found is not None
    accident = explain(text, found, "train.py")
    assert (accident.rule, accident.kind) == (rule, "shell")
    assert words in accident.summary
    assert "train.py" in accident.summary
    assert accident.do


def test_what_no_repair_mends_is_told_as_python_tells_it() -> None:
    text = "x = foo(1,\ny = 2\nz = 3\n"
    found = fault(text)
    assert found is not None
    accident = explain(text, found, "train.py")
    assert accident.rule == "shell.syntax"
    assert "line 1 of train.py: '(' was never closed" in accident.summary


def test_a_guess_is_called_one() -> None:
    text = "x = 1)\n"
    found = fault(text)
    assert found is not None
    assert explain(text, found, "t.py").status == "likely"
    found = explain("kimport os\n", Fault(1, "invalid syntax"), "t.py")
    assert found.status == "established"


@pytest.mark.parametrize(
    "text",
    [
        "print('“quoted”', \"it’s – fine\")\n",
        "s = '''\n>>> x\n$ y\nEOF\n'''\n",
        "# “ – \u00a0\nx = 1\n",
        "x = 1\r\ny = 2\r\n",
        "",
    ],
)
def test_what_python_reads_is_no_fault(text: str) -> None:
    assert fault(text) is None


def test_another_python_than_ours_may_stumble_where_ours_does_not() -> None:
    text = "import os\nmatch os:\n    case 1:\n        pass\n"
    accident = explain(text, Fault(2, "invalid syntax"), "train.py")
    assert (accident.rule, accident.status) == ("shell.python-version", "likely")
    assert accident.summary.startswith("line 2 of train.py is written for another")
    assert accident.kind == "incompatibility"


@pytest.mark.parametrize("text", ["(" * 5000, "x = [" * 300, "-" * 100_000 + "1"])
def test_a_text_that_breaks_a_parser_is_only_a_fault(text: str) -> None:
    found = fault(text)
    assert found is not None
    assert explain(text, found, "t.py").summary
