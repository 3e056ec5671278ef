"""Failures of an import: another Python or folder, or a file in the module's place."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from trainwatch.runner.accidents import look, place, shadow
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.failure import Failure, Setting

_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_CANNOT = re.compile(
    r"cannot import name '(\w+)' from (?:partially .{0,30}module )?"
    r"'([\w.]+)'(?: \(most likely[^)]*\))? \((?:consider renaming ')?([^')]*)[')]"
)
_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "dotenv": "python-dotenv",
    "bs4": "beautifulsoup4",
    "flash_attn": "flash-attn",
    "huggingface_hub": "huggingface-hub",
}
"""Modules whose distribution has another name."""


def module(failure: Failure, setting: Setting) -> Accident | None:
    found = _NO_MODULE.search(failure.message)
    if found is None:
        return None
    top, _, inner = found[1].partition(".")
    if "is not a package" in failure.message:
        return _shadowed(top, failure, setting)
    python, cwd = setting.python(), setting.cwd
    if inner and top in _modules_of(failure):
        return None  # It is there, and has no such part.
    folders = [Path(cwd), *(Path(f).parent for f in failure.files[:1])]
    if python is not None:
        other = look.other_with(top, python, folders, setting.environment)
        if other is not None:
            return look.wrong_python(top, python, other, cwd)
    for folder in dict.fromkeys(folders):
        near = place.nearby(f"{top}.py", folder) or place.nearby(top, folder)
        own = [p for p in near if p.name in (top, f"{top}.py") and _is_module(p)]
        if own:
            there = look.shown(own[0].parent, cwd)
            return Accident(
                "shell.wrong-folder",
                f"module {top} is not found from here; there is one in {there}",
                f"Put PYTHONPATH={there} before the command, or start it there.",
                (look.shown(own[0], cwd),),
                status="likely",
            )
    program = look.shown(python.program, cwd) if python is not None else "python"
    return Accident(
        "shell.interpreter",
        f"{program} has no module {top}",
        f"{program} -m pip install {DISTRIBUTIONS.get(top, top)}",
    )


def imported(failure: Failure, setting: Setting) -> Accident | None:
    found = _CANNOT.search(failure.message)
    if found is None:
        return None
    return _shadowed(found[2].partition(".")[0], failure, setting, found[3])


def attribute(failure: Failure, setting: Setting) -> Accident | None:
    found = _ATTRIBUTE.search(failure.message)
    if found is None:
        return None
    return _shadowed(found[1].partition(".")[0], failure, setting)


def _modules_of(failure: Failure) -> set[str]:
    """What is installed, by the files that the failure went through."""
    return {
        Path(file).parts[place + 1]
        for file in failure.files
        for place, part in enumerate(Path(file).parts[:-1])
        if part in ("site-packages", "dist-packages")
    }


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def _shadowed(
    name: str, failure: Failure, setting: Setting, where: str = ""
) -> Accident | None:
    """A file of the user's that was found in place of the module `name`."""
    folders = [Path(setting.cwd, f).parent for f in failure.files[:1]]
    for folder in dict.fromkeys([*folders, Path(setting.cwd)]):
        for entry in (f"{name}.py", f"{name}/__init__.py", f"{name}/"):
            path = folder / entry
            if "site-packages" in path.parts or not path.exists():
                continue
            there = os.path.realpath(where or path)
            if where != "unknown location" and there != os.path.realpath(path):
                continue
            if not (name in shadow.LIBRARIES or name in shadow.BENEATH):
                continue
            shown = entry.removesuffix("__init__.py")
            seen = shadow.shadow(name, shown, look.shown(folder, setting.cwd))
            return replace(seen, status="established")
    return None
