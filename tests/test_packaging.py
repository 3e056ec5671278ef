"""The wheel holds every folder, and nothing imports more than it should."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FOLDERS = ("probes", "runner", "tui", "examples")


def config() -> dict[str, object]:
    loaded: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return loaded


def test_every_folder_is_packaged() -> None:
    on_disk = {"trainwatch", "trainwatch.cli"} | {
        ".".join(["trainwatch", *init.parent.relative_to(ROOT).parts])
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    setuptools = config()["tool"]["setuptools"]  # type: ignore[index]
    assert set(setuptools["packages"]) == on_disk


def test_every_module_sits_in_a_package() -> None:
    for folder in FOLDERS:
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_every_link_leads_to_its_folder() -> None:
    for folder in FOLDERS:
        link = ROOT / "trainwatch" / folder
        assert link.is_symlink()
        assert link.resolve() == ROOT / folder


def probe_modules() -> list[Path]:
    return sorted((ROOT / "probes").rglob("*.py"))


@pytest.mark.parametrize("module", probe_modules(), ids=lambda path: path.name)
def test_probes_import_only_the_standard_library(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top_level = name.partition(".")[0]
            # Its own staged name is how the shim finds the rest.
            staged = top_level == "_trainwatch_probes"
            known = top_level in sys.stdlib_module_names
            assert known or staged, f"{module}: {name}"


@pytest.mark.parametrize("module", probe_modules(), ids=lambda path: path.name)
def test_probes_parse_as_python_3_9(module: Path) -> None:
    ast.parse(module.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize(
    ("imported", "forbidden"),
    [
        ("trainwatch", {"trainwatch.runner", "trainwatch.probes.events", "argparse"}),
        ("trainwatch.cli", {"textual", "psutil", "watchdog", "platformdirs"}),
        ("trainwatch.runner.launch", {"textual", "psutil", "watchdog", "asyncio"}),
        ("trainwatch.runner.view", {"textual", "torch", "watchdog"}),
        ("trainwatch.runner.supervisor", {"textual", "torch"}),
        ("trainwatch.runner", {"textual", "torch"}),
        ("trainwatch.tui.app", {"torch", "transformers"}),
        ("trainwatch.runner.demo", {"torch", "textual"}),
    ],
)
def test_importing_loads_nothing_heavy(imported: str, forbidden: set[str]) -> None:
    """A deferred import does not show in the static graph; `sys.modules` does."""
    code = f"import {imported}, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not forbidden & set(done.stdout.split())
