"""Files that stand in a module's place."""

from __future__ import annotations

import ast

import pytest

from trainwatch.runner.accidents.shadow import imported, shadows


@pytest.mark.parametrize(
    ("text", "beside", "severity"),
    [
        ("import torch\n", "torch.py", "serious"),
        ("from datasets import load_dataset\n", "datasets/", "serious"),
        ("import tokenizers.models\n", "tokenizers.py", "serious"),
        ("import random\n", "random.py", "attention"),
        ("def f():\n    import random\n", "random.py", "attention"),
        ("import torch\n", "random.py", "attention"),
        ("import torch\n", "types.py", None),  # imported before any script
        ("import torch\n", "queue.py", "attention"),
        ("from trl import SFTTrainer\n", "datasets/", "attention"),
        ("import torch\n", "utils.py", None),
        ("import torch\n", "test.py", None),
        ("import torch\n", "sys.py", None),
        ("import torch\n", "os.py", None),
        ("import utils\n", "utils.py", None),
        ("from .random import x\n", "random.py", None),
        ("print(1)\n", "random.py", None),
        ("print(1)\n", "torch.py", None),
    ],
)
def test_what_is_hidden(text: str, beside: str, severity: str | None) -> None:
    found = shadows(imported(ast.parse(text)), [beside], "src")
    assert [accident.severity for accident in found] == ([severity] if severity else [])
    for accident in found:
        assert accident.status != "established"
        assert beside in accident.summary
        assert f"Rename {beside} in src" in accident.do
