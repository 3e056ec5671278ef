"""What can go wrong with a command, seen before it does: one look, a few ms."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainwatch.runner.accidents import arguments, interpreter, shadow, shellscript
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.interpreter import Interpreter
from trainwatch.runner.accidents.script import Script, read, script_of
from trainwatch.runner.accidents.stray import stray
from trainwatch.runner.accidents.syntax import Fault, explain, fault

NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
MOST = 2_000
"""Entries of the script's folder that are looked at."""


@dataclass(frozen=True)
class Looked:
    """What one look found."""

    accidents: tuple[Accident, ...] = ()
    script: Script | None = None
    python: Interpreter | None = None

    @property
    def to_ask(self) -> Interpreter | None:
        """The Python that has to be asked whether it reads the script."""
        script, python = self.script, self.python
        if script is None or script.language != "python" or script.undecoded:
            return None
        if python is None or python.version == interpreter.ours():
            return None
        return python


def look(argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> Looked:
    """The slips in a command and in the script that it runs."""
    script = script_of(argv, cwd)
    python = interpreter.of_command(argv, cwd, environment)
    found = list(arguments.slips(argv, script.text if script else ""))
    if script is not None:
        if script.name == argv[0]:
            first = shellscript.first_line(script.text, script.name)
            found += [first] if first else []
        if script.language == "shell":
            found += shellscript.slips(script.text, script.name)
        else:
            found += _python(script, python, cwd, environment)
    return Looked(_first_of_each(found), script, python)


def _python(
    script: Script,
    python: Interpreter | None,
    cwd: str,
    environment: Mapping[str, str],
) -> list[Accident]:
    if script.undecoded:
        return [undecoded(script)]
    asked = python is not None and python.version != interpreter.ours()
    wrong = None if asked else fault(script.text)
    if wrong is not None and python is not None:
        return [unreadable(script, wrong)]
    if wrong is not None:
        guess = unreadable(script, wrong)
        return [replace(guess, status="possible", severity="attention")]
    tree = script.tree()
    if tree is None:
        return []
    alone = stray(tree, script.name)
    found = [alone] if alone else []
    imports = shadow.imported(tree)
    if not environment.get("PYTHONSAFEPATH"):
        beside = neighbours(script.folder, script.path.name)
        folder = shown(script.folder, cwd)
        own = [name for name in imports if has_all(script.folder, name, imports[name])]
        found += shadow.shadows(imports, beside, folder, own)
    needed = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    at_once = shadow.imported(ast.Module(list(needed), []))
    lacking = next((name for name in NEEDED if name in at_once), None)
    if lacking and python is not None and python.has(lacking) is False:
        folders = [Path(cwd), script.folder]
        other = other_with(lacking, python, folders, environment)
        if other is not None:
            found.append(wrong_python(lacking, python, other, cwd, likely=True))
    return found


def unreadable(script: Script, wrong: Fault) -> Accident:
    """What Python stumbles over in a script."""
    text = script.text.replace("\r\n", "\n")
    return explain(text, wrong, script.name)


def undecoded(script: Script) -> Accident:
    return Accident(
        "shell.encoding",
        f"{script.name} is not in UTF-8: Python cannot read it",
        f"Save {script.name} as UTF-8.",
        (script.undecoded,),
    )


def neighbours(folder: Path, but: str) -> list[str]:
    """The modules that lie in a folder: files, and packages that have their `/`."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MOST), entries, strict=False):
                if entry.name.endswith(".py") and entry.name != but:
                    found.append(entry.name)
                elif _is_package(entry):
                    found.append(f"{entry.name}/")
    except OSError:
        return found
    return found


def has_all(folder: Path, module: str, names: Collection[str]) -> bool:
    """Whether the file of a module in `folder` has these names, and there are any."""
    if not names or not (folder / f"{module}.py").is_file():
        return False
    there = read(folder / f"{module}.py", module)
    text = there.text if there is not None else ""
    return all(
        re.search(rf"^(?:(?:async )?def|class) {re.escape(name)}\b", text, re.MULTILINE)
        or re.search(rf"^{re.escape(name)}\s*[:=]", text, re.MULTILINE)
        for name in names
    )


def _is_package(entry: os.DirEntry[str]) -> bool:
    known = entry.name in shadow.LIBRARIES or entry.name in shadow.BENEATH
    return known and os.path.exists(os.path.join(entry.path, "__init__.py"))


def other_with(
    module: str,
    python: Interpreter,
    folders: Sequence[Path],
    environment: Mapping[str, str],
) -> Interpreter | None:
    """Another Python here for which `module` is installed."""
    for other in interpreter.here(folders, environment):
        if other.has(module) and other.packages != python.packages:
            return other
    return None


def wrong_python(
    module: str, python: Interpreter, other: Interpreter, cwd: str, likely: bool = False
) -> Accident:
    return Accident(
        "shell.interpreter",
        f"{shown(python.program, cwd)} has no {module}; another Python here has it",
        f"Run it with {shown(other.program, cwd)}",
        (f"{module} lies in {shown(other.packages[-1], cwd)}",),
        status="likely" if likely else "established",
    )


def shown(path: Path, cwd: str) -> str:
    """A path as one would type it in `cwd`."""
    relative = os.path.relpath(path, cwd)
    return str(path) if relative.startswith(f"..{os.sep}..") else relative


def _first_of_each(found: Sequence[Accident]) -> tuple[Accident, ...]:
    """One accident of each rule: the first, by which it is named."""
    return tuple({accident.rule: accident for accident in reversed(found)}.values())
