"""Failures of a path: a file, a model or a program that is not there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trainwatch.runner.accidents import look, place
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.failure import Failure, Setting

_PATH = re.compile(r"No such file or directory: b?'([^'\n]+)'")
_NOT_LOCAL = re.compile(
    r"(?:Repo id must[^\n]*: '([^'\n]+)'|Incorrect path_or_model_id: '([^'\n]+)'"
    r"|: (\S+) is not a local folder|Dataset '([^'\n]+)' doesn't exist)"
)
_QUOTED = re.compile(r"'([^'\n]{1,400})'")
_OPEN = re.compile(r"can't open file '([^'\n]+)'")


def file(failure: Failure, setting: Setting) -> Accident | None:
    found = _PATH.search(failure.message)
    wanted = found[1] if found else ""
    if wanted and any(Path(file).name == "subprocess.py" for file in failure.files):
        return Accident(
            "shell.missing-program",
            f"there is no program {wanted}",
            f"Install {wanted}, or put its folder on PATH.",
        )
    if not wanted:
        quoted = _QUOTED.findall(failure.message)
        wanted = next((word for word in quoted if _like_a_path(word)), "")
    return _missing(wanted, setting.cwd, "") if wanted else None


def model(failure: Failure, setting: Setting) -> Accident | None:
    """A folder of a model or of data that was taken for a name on the hub."""
    found = _NOT_LOCAL.search(failure.message)
    wanted = next((word for word in found.groups() if word), "") if found else ""
    if not _like_a_path(wanted):
        return None
    accident = _missing(wanted, setting.cwd, "")
    if accident is None or accident.status == "established":
        return None  # It may as well be a name on the hub.
    return accident


def not_opened(text: str, cwd: str) -> Accident | None:
    """A script that Python, started by another program, did not find."""
    found = _OPEN.search(text)
    return _missing(found[1], cwd, found[0]) if found else None


def _missing(wanted: str, cwd: str, evidence: str) -> Accident | None:
    """A file that is not there, with the one that was probably meant."""
    if wanted.endswith(("\r", "\\r")):
        return Accident(
            "shell.carriage-return",
            "the script that names the file has Windows line ends",
            "Convert it: sed -i 's/\\r$//' FILE",
            (evidence,) if evidence else (),
        )
    path = Path(cwd, wanted)
    if path.exists():
        return None
    near = place.nearby(wanted, Path(cwd))
    if not near and path.parent.is_dir():
        near = [path.parent / n for n in place.alike(path.name, _in(path.parent))]
    shown = wanted if len(wanted) < 80 else f"…{wanted[-78:]}"
    if not near:
        if os.path.isabs(wanted) and not path.parent.exists():
            return None
        return Accident(
            "shell.missing-file",
            f"there is no {shown}" + ("" if os.path.isabs(wanted) else f" in {cwd}"),
            "Check the name, and the folder that the command is started in.",
            (evidence,) if evidence else (),
        )
    meant = near[0]
    relative = Path(wanted)
    inside = not relative.is_absolute() and meant.parts[-len(relative.parts) :] == (
        relative.parts
    )
    if inside:
        start = Path(*meant.parts[: len(meant.parts) - len(relative.parts)])
        return Accident(
            "shell.wrong-folder",
            f"there is no {shown} in {cwd}; it lies in {look.shown(start, cwd)}",
            f"Start it in the other folder: cd {look.shown(start, cwd)}",
            (evidence,) if evidence else (),
            status="likely",
        )
    return Accident(
        "shell.missing-file",
        f"there is no {shown}; {look.shown(meant, cwd)} was probably meant",
        f"Use {look.shown(meant, cwd)}",
        (evidence,) if evidence else (),
        status="likely" if meant.name == path.name else "possible",
    )


def _like_a_path(word: str) -> bool:
    return (os.sep in word or Path(word).suffix != "") and "://" not in word


def _in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)[: place.ENTRIES]
    except OSError:
        return []
