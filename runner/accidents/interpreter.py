"""
Which Python a command means, what is installed for it, and others that are here.

Told by files alone: nothing is started. Where that does not show it (a shim, packages
of the system besides), the answer is None.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = (".venv", "venv", "env", ".env", ".conda")
_NAME = re.compile(r"^(?:python|pypy)(\d)\.(\d+)$")
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", re.MULTILINE)
_SHARED = re.compile(r"^include-system-site-packages\s*=\s*true", re.MULTILINE)
Version = tuple[int, int]


@dataclass(frozen=True)
class Interpreter:
    program: Path
    version: Version | None = None
    packages: tuple[Path, ...] = ()
    """Where its packages lie; empty where files do not show it."""

    def has(self, module: str) -> bool | None:
        """Whether a top-level module is installed for it."""
        if not self.packages:
            return None
        return any(
            (folder / module).is_dir() or (folder / f"{module}.py").is_file()
            for folder in self.packages
        )


def ours() -> Version:
    return sys.version_info[:2]


def of_command(
    argv: Sequence[str], cwd: str, environment: Mapping[str, str]
) -> Interpreter | None:
    """
    The Python that `argv` is run by: its program, or the one that a launcher beside
    it (`torchrun`, `accelerate`) belongs to.
    """
    word = argv[0] if argv else ""
    if os.sep in word:
        word = os.path.join(cwd, word)
    found = shutil.which(word, path=environment.get("PATH"))
    if found is None:
        return None
    path = Path(found)
    if path.name.startswith(("python", "pypy")):
        return at(path, environment)
    asked = _first_line(path)
    if asked.startswith("#!") and "python" in asked:
        program = asked[2:].split()
        if program and os.path.basename(program[0]) != "env":
            return at(Path(program[0]), environment)
        named = shutil.which(program[-1], path=environment.get("PATH"))
        return at(Path(named), environment) if named else None
    return None


def at(program: Path, environment: Mapping[str, str] | None = None) -> Interpreter:
    """What files show of the Python at `program`."""
    environment = environment or {}
    if _first_line(program).startswith("#!"):
        return Interpreter(program)  # A shim: another program decides.
    prefix = program.parent.parent
    try:
        text = (prefix / "pyvenv.cfg").read_text(errors="replace")
    except OSError:
        return _bare(program, environment)
    found = _VERSION.search(text)
    version = (int(found[1]), int(found[2])) if found else _by_name(program)
    if _SHARED.search(text):
        return Interpreter(program, version)
    packages = [*_path(environment), *prefix.glob("lib/python*/site-packages")]
    return Interpreter(program, version, tuple(packages))


def here(folders: Sequence[Path], environment: Mapping[str, str]) -> list[Interpreter]:
    """The virtual environments in `folders` and in the two above each."""
    roots = [
        Path(environment[n])
        for n in ("VIRTUAL_ENV", "CONDA_PREFIX")
        if environment.get(n)
    ]
    for folder in folders:
        roots += [
            place / name for place in (folder, *folder.parents[:2]) for name in NAMES
        ]
    found = []
    for root in dict.fromkeys(roots):
        program = root / "bin" / "python"
        if program.exists():
            found.append(at(program))
    return found


def _bare(program: Path, environment: Mapping[str, str]) -> Interpreter:
    version = _by_name(program)
    if version is None:
        return Interpreter(program)
    short = f"python{version[0]}.{version[1]}"
    prefix = Path(os.path.realpath(program)).parent.parent
    places = [
        *_path(environment),
        prefix / "lib" / short / "site-packages",
        prefix / "local" / "lib" / short / "dist-packages",
        prefix / "lib" / "python3" / "dist-packages",
        Path.home() / ".local" / "lib" / short / "site-packages",
    ]
    there = tuple(place for place in places if place.is_dir())
    return Interpreter(program, version, there)


def _by_name(program: Path) -> Version | None:
    found = _NAME.match(os.path.basename(os.path.realpath(program)))
    return (int(found[1]), int(found[2])) if found else None


def _path(environment: Mapping[str, str]) -> list[Path]:
    words = environment.get("PYTHONPATH", "").split(os.pathsep)
    return [Path(word) for word in words if word and os.path.isdir(word)]


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.readline(256).decode("utf-8", "replace").strip()
    except OSError:
        return ""
