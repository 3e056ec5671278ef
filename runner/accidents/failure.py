"""
Which slip ended a program, by the exception that it ended with.

What a look at the script could only think likely is certain here: the program has
stopped at it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainwatch.runner.accidents import arguments, look, place, shadow
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.interpreter import Interpreter, of_command
from trainwatch.runner.accidents.mismatch import mismatch
from trainwatch.runner.accidents.script import read
from trainwatch.runner.accidents.stray import alone, opens_heredoc
from trainwatch.runner.accidents.syntax import Fault

_FRAME = re.compile(r'^ +File "([^"\n]+)", line (\d+)', re.MULTILINE)
_LAST = re.compile(
    r"^((?:\w+\.)*[A-Z]\w*(?:Error|Exception|NotFound|Interrupt))(?:: (.*))?$",
    re.MULTILINE,
)
_PATH = re.compile(r"No such file or directory: b?'([^'\n]+)'")
_NOT_LOCAL = re.compile(
    r"(?:Repo id must[^\n]*: '([^'\n]+)'|Incorrect path_or_model_id: '([^'\n]+)'"
    r"|: (\S+) is not a local folder|Dataset '([^'\n]+)' doesn't exist)"
)
_QUOTED = re.compile(r"'([^'\n]{1,400})'")
_OPEN = re.compile(r"can't open file '([^'\n]+)'")
_ARGUMENTS = re.compile(r"error: unrecognized arguments: (.+)$", re.MULTILINE)
_UNUSED = re.compile(r"arguments are not used by the HfArgumentParser: \[(.+)\]")
_OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")
_OF_NAME = re.compile(r"name '(\w+)' is not defined")
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


@dataclass(frozen=True)
class Failure:
    """An exception that nobody caught."""

    kind: str
    message: str
    traceback: str = ""

    @property
    def last(self) -> tuple[str, int] | None:
        """File and line of the innermost frame."""
        found = _FRAME.findall(self.traceback)
        return (found[-1][0], int(found[-1][1])) if found else None

    @property
    def files(self) -> list[str]:
        return [file for file, _ in _FRAME.findall(self.traceback)]

    @property
    def said(self) -> str:
        """The error in one line, as Python ends a traceback."""
        lines = self.message.strip().splitlines() or [""]
        line = next(
            (li for li in reversed(lines) if li.startswith(self.kind)), lines[0]
        )
        return (
            line[:300] if line.startswith(self.kind) else f"{self.kind}: {line[:300]}"
        )


@dataclass(frozen=True)
class Setting:
    """The command that failed, and where it was started."""

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Libraries that the process had imported -> version."""

    def python(self) -> Interpreter | None:
        return of_command(self.argv, self.cwd, self.environment)


Explain = Callable[[Failure, Setting], "Accident | None"]


def explain(failure: Failure, setting: Setting) -> Accident | None:
    """The slip behind a failure; None where it is none of these."""
    for kinds, reason in _REASONS:
        if failure.kind.rpartition(".")[2] in kinds:
            found = reason(failure, setting)
            if found is not None:
                told = [line for line in found.evidence if failure.said not in line]
                evidence = (failure.said, *told)
                return replace(found, evidence=evidence, severity="serious")
    return None


def said(text: str) -> Failure | None:
    """The failure that the end of a program's output tells, without any probe."""
    found = list(_LAST.finditer(text))
    if found:
        last = found[-1]
        began = text.rfind("Traceback (most recent call last):", 0, last.start())
        if began < 0:
            began = max(0, text.rfind("  File ", 0, last.start()))
        return Failure(last[1], last[0], text[began : last.end()])
    return None


def refused(text: str, argv: Sequence[str]) -> Accident | None:
    """What a program that ended with a usage error said of its arguments."""
    found = _ARGUMENTS.search(text)
    if found is None:
        return None
    words = found[1].split()
    return _arguments(words, text[: found.start()], argv, found[0].strip())


def not_opened(text: str, cwd: str) -> Accident | None:
    """A script that Python, started by another program, did not find."""
    found = _OPEN.search(text)
    return _missing(found[1], cwd, found[0]) if found else None


# --- by kind ---


def _syntax(failure: Failure, setting: Setting) -> Accident | None:
    where = failure.last
    if where is None:
        return None
    path = Path(setting.cwd, where[0])
    if "site-packages" in path.parts:
        return Accident(
            "shell.python-version",
            f"{look.shown(path, setting.cwd)} is written for another Python",
            "Use the Python that the package asks for, or a version of the package "
            "for this Python.",
            status="likely",
            kind="incompatibility",
        )
    script = read(path, look.shown(path, setting.cwd))
    if script is None:
        return None
    if script.undecoded:
        return look.undecoded(script)
    message = failure.said.partition(": ")[2]
    return look.unreadable(script, Fault(where[1], message, failure.kind))


def _name(failure: Failure, setting: Setting) -> Accident | None:
    found, where = _OF_NAME.search(failure.message), failure.last
    if found is None or where is None:
        return None
    path = Path(setting.cwd, where[0])
    script = read(path, look.shown(path, setting.cwd))
    lines = script.text.splitlines() if script else []
    if script is None or not 0 < where[1] <= len(lines):
        return None
    line = lines[where[1] - 1].strip()
    if line == found[1] or opens_heredoc(found[1], line):
        return alone(found[1], where[1], script.name)
    return None


def _module(failure: Failure, setting: Setting) -> Accident | None:
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


def _modules_of(failure: Failure) -> set[str]:
    """What is installed, by the files that the failure went through."""
    return {
        Path(file).parts[place + 1]
        for file in failure.files
        for place, part in enumerate(Path(file).parts[:-1])
        if part in ("site-packages", "dist-packages")
    }


def _mismatch(failure: Failure, setting: Setting) -> Accident | None:
    python = setting.python()
    folders = python.packages if python is not None else ()
    return mismatch(
        failure.kind, failure.said, failure.traceback, folders, setting.versions
    )


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def _import(failure: Failure, setting: Setting) -> Accident | None:
    found = _CANNOT.search(failure.message)
    if found is None:
        return None
    return _shadowed(found[2].partition(".")[0], failure, setting, found[3])


def _attribute(failure: Failure, setting: Setting) -> Accident | None:
    found = _ATTRIBUTE.search(failure.message)
    if found is None:
        return None
    return _shadowed(found[1].partition(".")[0], failure, setting)


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


def _file(failure: Failure, setting: Setting) -> Accident | None:
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


def _model(failure: Failure, setting: Setting) -> Accident | None:
    """A folder of a model or of data that was taken for a name on the hub."""
    found = _NOT_LOCAL.search(failure.message)
    wanted = next((word for word in found.groups() if word), "") if found else ""
    if not _like_a_path(wanted):
        return None
    accident = _missing(wanted, setting.cwd, "")
    if accident is None or accident.status == "established":
        return None  # It may as well be a name on the hub.
    return accident


def _like_a_path(word: str) -> bool:
    return (os.sep in word or Path(word).suffix != "") and "://" not in word


def _missing(wanted: str, cwd: str, evidence: str) -> Accident | None:
    """A file that is not there, with the one that was probably meant."""
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


def _in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)[: place.ENTRIES]
    except OSError:
        return []


def _value(failure: Failure, setting: Setting) -> Accident | None:
    found = _UNUSED.search(failure.message)
    if found is None:
        return None
    words = [word.strip(" '\"") for word in found[1].split(",")]
    return _arguments(words, "", setting.argv, found[0])


def _arguments(
    words: Sequence[str], usage: str, argv: Sequence[str], evidence: str
) -> Accident | None:
    known = list(dict.fromkeys(_OPTION.findall(usage)))
    source = " ".join(known)
    slips = arguments.slips(["", *words], source) or [
        slip for slip in arguments.slips(argv, source) if slip.rule == "shell.backslash"
    ]
    if slips:
        return replace(slips[0], status="established", evidence=(evidence,))
    word = next((word for word in words if word.startswith("-")), words[0])
    option = word.partition("=")[0]
    like = place.alike(option, known)
    if not like:
        return Accident(
            "shell.arguments",
            f"the program has no option {option}"
            if option.startswith("-")
            else f"the program did not expect the argument {option}",
            "Look at its --help for the name.",
            (evidence,),
        )
    return Accident(
        "shell.arguments",
        f"the program has no option {option}; {like[0]} was probably meant",
        f"Write {like[0]}",
        (evidence,),
        status="likely",
    )


_REASONS: tuple[tuple[tuple[str, ...], Explain], ...] = (
    (("SyntaxError", "IndentationError", "TabError"), _syntax),
    (("NameError",), _name),
    (("ImportError",), _import),
    (("ImportError", "ModuleNotFoundError"), _mismatch),
    (("ImportError", "ModuleNotFoundError"), _module),
    (("AttributeError",), _attribute),
    (("TypeError", "AttributeError", "ValueError"), _mismatch),
    (("FileNotFoundError", "NotADirectoryError"), _file),
    (("OSError", "HFValidationError", "DatasetNotFoundError"), _model),
    (("ValueError",), _value),
)
