"""The demos: real runs of the scripts in examples/, on a model made on the spot."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import trainwatch
from trainwatch.runner.errors import RefusedError

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
"""What the scripts import."""


@dataclass(frozen=True)
class Demo:
    name: str
    script: str
    """File name in examples/."""
    argv: tuple[str, ...]
    """Arguments that make this demo of the script."""
    summary: str


DEMOS: Mapping[str, Demo] = MappingProxyType(
    {
        demo.name: demo
        for demo in (
            Demo("lora", "sft_lora.py", (), "supervised fine-tuning with LoRA (TRL)"),
            Demo("dpo", "dpo.py", (), "preference tuning with LoRA (TRL)"),
            Demo("partial", "partial.py", (), "the last layers only (Transformers)"),
            Demo(
                "plain", "plain_loop.py", (), "a training loop of one's own (PyTorch)"
            ),
        )
    }
)


def demo_command(
    name: str, steps: int | None = None, python: str | None = None
) -> list[str]:
    """
    The command of demo `name`: `steps` optimizer steps, or the script's own
    number, in the interpreter `python`, or the one that runs now.

    Raises KeyError for a name that is not in DEMOS, and RefusedError if the
    script or, in this interpreter, a training package is missing. Another
    interpreter is not asked what it has.
    """
    demo = DEMOS[name]
    interpreter = python or sys.executable
    if interpreter == sys.executable:
        missing = missing_packages()
        if missing:
            raise RefusedError(
                f"The demo needs {', '.join(missing)}, which {interpreter} does not "
                "have. Install them with: pip install 'trainwatch-tui[train]'"
            )
    script = examples_folder() / demo.script
    if not script.is_file():
        raise RefusedError(
            f"{script} is missing. Reinstall with: pip install 'trainwatch-tui[train]'"
        )
    wanted = () if steps is None else ("--steps", str(steps))
    return [interpreter, str(script), *demo.argv, *wanted]


def missing_packages() -> list[str]:
    """The training packages that this interpreter does not find. Imports none."""
    return [package for package in PACKAGES if find_spec(package) is None]


def examples_folder() -> Path:
    """Where the scripts are installed."""
    return Path(trainwatch.__file__).resolve().parent.joinpath("examples").resolve()
