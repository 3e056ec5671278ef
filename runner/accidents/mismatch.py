"""
Calls that the installed version of a library does not know.

By the data of `renames.toml`; where that has no entry, by the nearest name that the
installed source takes, which is a guess and called one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainwatch.runner.accidents import signature
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.triage.renames import PACKAGES, Misnomer, misnomers, renamed

_SITE = re.compile(r'File "([^"\n]*/(?:site|dist)-packages)/')
_CALL = re.compile(r"(\w+)\(")


def mismatch(
    kind: str,
    message: str,
    traceback: str,
    folders: Sequence[Path],
    versions: Mapping[str, str] | None = None,
) -> Accident | None:
    """
    What is wrong with a call, by the error it ended with; None for other errors.

    Args:
        kind: the exception's name.
        message: its text.
        traceback: whole, "" where it is not known.
        folders: where the packages of that Python lie.
        versions: package -> version, where a probe told it.
    """
    named = misnomers(kind, message)
    if not named:
        return None
    found = [Path(path) for path in dict.fromkeys(_SITE.findall(traceback))]
    folders = list(dict.fromkeys([*folders, *found]))
    known = {**installed(folders), **(versions or {})}
    for misnomer in named:
        whole = _with_owner(misnomer, traceback)
        became = renamed(whole, known)
        if became is not None:
            return Accident(
                became.rule,
                became.summary,
                became.do,
                became.evidence,
                kind="incompatibility",
                status="established" if became.certain else "likely",
            )
    for misnomer in named:
        whole = _with_owner(misnomer, traceback)
        guess = _guess(whole, folders, known)
        if guess is not None:
            return guess
    return None


def installed(folders: Sequence[Path]) -> dict[str, str]:
    """Package -> version, by the folders that installers leave."""
    found: dict[str, str] = {}
    for folder in reversed(folders):
        for package in PACKAGES:
            for path in folder.glob(f"{package}-*.dist-info"):
                found[package] = path.name[len(package) + 1 : -len(".dist-info")]
    return found


def _with_owner(misnomer: Misnomer, traceback: str) -> Misnomer:
    """Python 3.9 says only `__init__()`: the failing line tells whose."""
    if misnomer.kind != "argument" or misnomer.owner or not traceback:
        return misnomer
    lines = [line.strip() for line in traceback.splitlines()]
    code = [
        line
        for line, before in zip(lines[1:], lines, strict=False)
        if before.startswith("File ")
    ]
    called = _CALL.search(code[-1]) if code else None
    return replace(misnomer, owner=called[1]) if called else misnomer


def _guess(
    misnomer: Misnomer, folders: Sequence[Path], versions: Mapping[str, str]
) -> Accident | None:
    if misnomer.kind != "argument" or not misnomer.owner:
        return None
    for package in PACKAGES:
        if package == "torch":
            continue
        known = signature.parameters(misnomer.owner, package, folders)
        if known is None or misnomer.name in known:
            continue
        what = misnomer.says(package, versions.get(package, ""))
        near = signature.nearest(misnomer.name, known)
        return Accident(
            f"argument.{package}.{misnomer.name}",
            f"{what}; the nearest is `{near}`" if near else what,
            f"Write {near}, if that is meant."
            if near
            else f"Look at what {misnomer.owner} takes.",
            (f"read from the installed {package}",),
            kind="incompatibility",
            status="possible" if near else "established",
        )
    return None
