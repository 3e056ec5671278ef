"""
Names that libraries took away, moved or gave anew, and errors that come of it.

Pure: an error's text and the installed versions in, what is the right name out. The
names are data, `renames.toml`.
"""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from packaging.version import InvalidVersion, Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = ("argument", "import", "attribute", "module")
PACKAGES = ("transformers", "trl", "peft", "accelerate", "datasets", "torch")
INHERIT = {"SFTConfig", "DPOConfig", "GRPOConfig", "RewardConfig", "KTOConfig"}
INHERIT |= {"ORPOConfig", "CPOConfig", "PPOConfig", "RLOOConfig", "OnlineDPOConfig"}
"""Configs of trl: what TrainingArguments has not, they have not."""

_ARGUMENT = re.compile(
    r"(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'"
)
_BUILDER = re.compile(r"BuilderConfig (\w+)\(.*doesn't have a '(\w+)' key", re.DOTALL)
_PARSER = re.compile(r"not used by the HfArgumentParser: \[(.*)\]")
_IMPORT = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_OF_MODULE = re.compile(r"module '?([\w.]+)'? has no attribute '?(\w+)'?")
_OF_OBJECT = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
_OF_TYPE = re.compile(r"type object '(\w+)' has no attribute '(\w+)'")


@dataclass(frozen=True)
class Rename:
    package: str
    kind: str
    owner: tuple[str, ...]
    """Shell patterns of the class or function; empty for imports and modules."""
    old: tuple[str, ...]
    new: str
    gone: str
    came: str
    place: str
    do: str
    source: tuple[str, ...]


@dataclass(frozen=True)
class Misnomer:
    """A name that was used and is not known."""

    kind: str
    name: str
    owner: str = ""
    """The class or function; "" where the error does not tell it."""
    package: str = ""

    def says(self, package: str, version: str) -> str:
        """What is not there, in words."""
        of = f"{package} {version}".strip()
        if self.kind == "import":
            return f"{of} has no {self.name}"
        if self.kind == "module":
            return f"{of} has no module {self.name}"
        if self.kind == "attribute":
            owner = f"{self.owner} of {of}" if self.owner else of
            return f"{owner} has no attribute {self.name}"
        owner = f"{self.owner}() of {of}" if self.owner else of
        return f"{owner} has no argument `{self.name}`"


@dataclass(frozen=True)
class Renamed:
    """What became of a name."""

    rule: str
    summary: str
    do: str
    evidence: tuple[str, ...]
    certain: bool
    """The installed version is known, and is one in which it was so."""


@cache
def renames() -> tuple[Rename, ...]:
    """The names of `renames.toml`."""
    file = resources.files("trainwatch.runner.triage") / "renames.toml"
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Rename, ...]:
    """
    Raises:
        ValueError: not TOML, or an entry without what it needs.
    """
    found = []
    for table in tomllib.loads(text).get("rename", []):
        try:
            rename = _rename(table)
        except (KeyError, TypeError, InvalidVersion) as error:
            raise ValueError(f"rename {table.get('old')!r}: {error!r}") from None
        found.append(rename)
    return tuple(found)


def _rename(table: Mapping[str, Any]) -> Rename:
    old = table.get("old", [])
    rename = Rename(
        table["package"],
        table.get("kind", "argument"),
        tuple(table.get("owner", ())),
        (old,) if isinstance(old, str) else tuple(old),
        table.get("new", ""),
        table.get("gone", ""),
        table.get("came", ""),
        table.get("place", ""),
        table.get("do", ""),
        tuple(table["source"]),
    )
    for version in filter(None, (rename.gone, rename.came)):
        Version(version)
    if rename.kind not in KINDS or not (rename.gone or rename.came):
        raise KeyError("kind, gone or came")
    if not (rename.new or rename.place or rename.do):
        raise KeyError("new, place or do")
    return rename


def misnomers(kind: str, message: str) -> list[Misnomer]:
    """The names that an error complains about; empty for any other error."""
    for kinds, read in _READERS:
        if kind.rpartition(".")[2] in kinds:
            found = read(message)
            if found:
                return found
    return []


def _arguments(message: str) -> list[Misnomer]:
    found = _ARGUMENT.search(message)
    if found is None:
        return []
    owner = found[1] if found[1] and found[2] == "__init__" else found[2]
    return [Misnomer("argument", found[3], "" if owner == "__init__" else owner)]


def _parsed(message: str) -> list[Misnomer]:
    found = _PARSER.search(message)
    if found is None:
        builder = _BUILDER.search(message)
        return [Misnomer("argument", builder[2], builder[1])] if builder else []
    words = [word.strip(" '\"") for word in found[1].split(",")]
    return [
        Misnomer("argument", word.lstrip("-").partition("=")[0].replace("-", "_"))
        for word in words
        if word.startswith("--")
    ]


def _imports(message: str) -> list[Misnomer]:
    found = _IMPORT.search(message)
    if found is not None:
        return [Misnomer("import", found[1], package=found[2].partition(".")[0])]
    module = _MODULE.search(message)
    if module is None or "." not in module[1]:
        return []
    return [Misnomer("module", module[1], package=module[1].partition(".")[0])]


def _attributes(message: str) -> list[Misnomer]:
    module = _OF_MODULE.search(message)
    if module is not None:
        return [Misnomer("import", module[2], package=module[1].partition(".")[0])]
    found = _OF_OBJECT.search(message) or _OF_TYPE.search(message)
    return [Misnomer("attribute", found[2], found[1])] if found else []


def renamed(misnomer: Misnomer, versions: Mapping[str, str]) -> Renamed | None:
    """
    What became of a name; None where no entry knows it, or its version was whole.

    Args:
        misnomer: the name.
        versions: package -> installed version, as far as known.
    """
    for rename in renames():
        if not _is_about(rename, misnomer):
            continue
        version = versions.get(rename.package, "")
        found = _gone(rename, misnomer, version) or _early(rename, misnomer, version)
        if found is not None:
            return found
    return None


def _is_about(rename: Rename, misnomer: Misnomer) -> bool:
    if rename.kind != misnomer.kind:
        return False
    if misnomer.name not in rename.old and misnomer.name != rename.new:
        return False
    if misnomer.package:
        return misnomer.package == rename.package
    if not misnomer.owner:
        return True
    inherits = "TrainingArguments" in rename.owner and misnomer.owner in INHERIT
    return inherits or any(
        fnmatch.fnmatchcase(misnomer.owner, pattern) for pattern in rename.owner
    )


def _gone(rename: Rename, misnomer: Misnomer, version: str) -> Renamed | None:
    if misnomer.name not in rename.old or not rename.gone:
        return None
    if version and _before(version, rename.gone):
        return None
    what = misnomer.says(rename.package, version)
    instead = ""
    if rename.place:
        instead = f": it belongs in {rename.place}"
    elif rename.new:
        instead = f": it is `{rename.new}`"
    do = rename.do or f"Write {rename.new} in place of {misnomer.name}."
    if rename.place and not rename.do:
        do = f"Pass {misnomer.name} to {rename.place}(…), and that as args."
    return Renamed(
        f"rename.{rename.package}.{misnomer.name}",
        f"{what} since {rename.gone}{instead}",
        do,
        rename.source,
        bool(version),
    )


def _early(rename: Rename, misnomer: Misnomer, version: str) -> Renamed | None:
    """The name of a newer version than is installed."""
    if misnomer.name != rename.new or not rename.came or not version:
        return None
    if not _before(version, rename.came):
        return None
    what = misnomer.says(rename.package, version)
    until = f": until then it is `{rename.old[0]}`" if rename.old else ""
    wish = f"pip install -U '{rename.package}>={rename.came}'"
    do = f"Write {rename.old[0]}, or {wish}" if rename.old else wish
    return Renamed(
        f"rename.{rename.package}.{misnomer.name}",
        f"{what} yet, which came with {rename.came}{until}",
        do,
        rename.source,
        True,
    )


def _before(version: str, limit: str) -> bool:
    """True where `version` is surely older; a development version counts as its own."""
    try:
        return Version(Version(version).base_version) < Version(limit)
    except InvalidVersion:
        return False


_READERS: tuple[tuple[tuple[str, ...], Callable[[str], list[Misnomer]]], ...] = (
    (("TypeError",), _arguments),
    (("ImportError", "ModuleNotFoundError"), _imports),
    (("AttributeError",), _attributes),
    (("ValueError",), _parsed),
)
