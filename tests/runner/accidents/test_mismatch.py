"""Calls that the installed libraries do not know, by the sources of fake ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainwatch.runner.accidents import signature
from trainwatch.runner.accidents.failure import Failure, Setting
from trainwatch.runner.accidents.mismatch import installed, mismatch
from trainwatch.runner.accidents.reasons import explain

FILES = {
    "trl/__init__.py": "raise SystemExit('imported')\n",
    "trl/trainer/sft_trainer.py": """
from transformers import Trainer
class SFTTrainer(Trainer):
    def __init__(self, model, args=None, *, processing_class=None):
        pass
class Free:
    def __init__(self, **kwargs):
        pass
def train(model, *, verbose=False):
    pass
""",
    "trl/trainer/sft_config.py": """
from transformers import TrainingArguments
class SFTConfig(TrainingArguments):
    max_length: int = 1024
""",
    "trl/trainer/broken.py": "class Broken(:\n",
    "transformers/training_args.py": """
class TrainingArguments:
    learning_rate: float = 1e-4
    eval_strategy: str = "no"
""",
}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    root = tmp_path / "lib/python3.12/site-packages"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("trl-1.16.0", "transformers-5.23.0", "trl_extra-3"):
        (root / f"{name}.dist-info").mkdir()
    return root


def unexpected(owner: str, name: str) -> str:
    return f"TypeError: {owner}() got an unexpected keyword argument '{name}'"


def test_versions_are_read_from_folders(packages: Path) -> None:
    assert installed([packages]) == {"trl": "1.16.0", "transformers": "5.23.0"}
    assert installed([packages / "nowhere"]) == {}


def test_arguments_are_read_from_the_source(packages: Path) -> None:
    def of(owner: str) -> frozenset[str] | None:
        return signature.parameters(owner, "trl", [packages])

    assert of("SFTTrainer") == {"model", "args", "processing_class"}
    assert of("SFTConfig") == {"max_length", "learning_rate", "eval_strategy"}
    assert of("train") == {"model", "verbose"}
    assert of("Free") is None
    assert of("Broken") is None
    assert of("Nothing") is None
    assert signature.parameters("SFTTrainer", "trl", []) is None


@pytest.mark.parametrize(
    ("owner", "name", "summary", "status"),
    [
        (
            "SFTTrainer.__init__",
            "tokenizer",
            "SFTTrainer() of trl 1.16.0 has no argument `tokenizer` since 0.16: it is "
            "`processing_class`",
            "established",
        ),
        (
            "SFTConfig.__init__",
            "learnig_rate",
            "SFTConfig() of trl 1.16.0 has no argument `learnig_rate`; the nearest is "
            "`learning_rate`",
            "possible",
        ),
        (
            "SFTTrainer.__init__",
            "colour",
            "SFTTrainer() of trl 1.16.0 has no argument `colour`",
            "established",
        ),
    ],
)
def test_what_is_said(
    owner: str, name: str, summary: str, status: str, packages: Path
) -> None:
    found = mismatch("TypeError", unexpected(owner, name), "", [packages])
    assert found is not None
    assert (found.summary, found.status) == (summary, status)
    assert found.kind == "incompatibility"


def test_an_argument_that_is_there_is_not_called_missing(packages: Path) -> None:
    text = unexpected("SFTConfig.__init__", "max_length")
    assert mismatch("TypeError", text, "", [packages]) is None
    assert mismatch("TypeError", unexpected("own", "x"), "", [packages]) is None


def test_an_older_python_does_not_say_whose_argument(packages: Path) -> None:
    text = unexpected("__init__", "max_seq_length")
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/a/train.py", line 9, in <module>\n'
        "    config = SFTConfig(max_seq_length=5)\n" + text
    )
    found = mismatch("TypeError", text, trace, [packages])
    assert found is not None
    assert "SFTConfig() of trl 1.16.0 has no argument `max_seq_length`" in found.summary


def test_packages_are_found_by_the_traceback(packages: Path, tmp_path: Path) -> None:
    text = "ImportError: cannot import name 'AdamW' from 'transformers' (x)"
    trace = f'  File "{packages}/transformers/a.py", line 1, in f\n    x\n{text}'
    run = Setting(["python"], str(tmp_path), {"PATH": ""})
    found = explain(Failure("ImportError", text, trace), run)
    assert found is not None
    assert found.summary == "transformers 5.23.0 has no AdamW since 4.50"
    assert found.evidence[0] == text
    assert (found.kind, found.severity) == ("incompatibility", "serious")


def test_a_probe_knows_the_version_too(tmp_path: Path) -> None:
    text = "ModuleNotFoundError: No module named 'torch._six'"
    run = Setting(["python"], str(tmp_path), {"PATH": ""}, {"torch": "2.13.0"})
    found = explain(Failure("ModuleNotFoundError", text), run)
    assert found is not None
    assert found.summary == "torch 2.13.0 has no module torch._six since 2.0"


def test_a_part_that_a_library_lacks_is_not_a_missing_library(
    packages: Path, tmp_path: Path
) -> None:
    text = "ModuleNotFoundError: No module named 'trl.nothing'"
    trace = f'  File "{packages}/trl/a.py", line 1, in f\n    x\n{text}'
    run = Setting(["python"], str(tmp_path), {"PATH": ""})
    assert explain(Failure("ModuleNotFoundError", text, trace), run) is None
