"""Each file of pins here is one whole training stack, as its name says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STACKS = sorted(HERE.glob("*.txt"), key=lambda file: file.stem)


def pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line[:1] != "#"]
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("stack", STACKS, ids=lambda file: file.stem)
def test_a_stack_is_what_we_say_we_work_with(stack: Path) -> None:
    pinned = pins(stack)
    assert pinned["transformers"].startswith(stack.stem + ".")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["optional-dependencies"]["train"]:
        wanted = Requirement(text)
        assert pinned[wanted.name] in wanted.specifier, text


def test_the_oldest_stack_is_the_oldest_that_we_promise() -> None:
    """And all stacks have one torch: a second one is gigabytes for nothing new."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = project["optional-dependencies"]["train"]
    assert f"transformers>={STACKS[0].stem}" in promised
    newest = pins(ROOT / "constraints.txt")["torch"]
    assert {pins(stack)["torch"] for stack in STACKS} == {newest}
