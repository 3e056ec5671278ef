"""
Versions that do not fit together: known pairs, and what packages themselves ask for.

Pure: versions in, what does not fit out. `runner/doctor.py` reads the versions.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WATCHED = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes")
"""The packages whose own requirements are looked at."""
TOGETHER = (
    *WATCHED,
    "datasets",
    "tokenizers",
    "safetensors",
    "huggingface-hub",
    "numpy",
    "triton",
    "deepspeed",
    "vllm",
    "liger-kernel",
)
"""Packages that training stands on: another version of one than was asked for is
serious. Of any other it may never be noticed."""
ASIDE = ("dev", "test", "quality", "doc", "lint", "style", "bench")
"""Parts of the names of extras that no training run is started with."""


_EXTRA = re.compile(r"""extra == ["']([^"']{1,80})["']""")


@dataclass(frozen=True)
class Package:
    version: str = ""
    requires: tuple[str, ...] = ()
    """`Requires-Dist` of its metadata."""
    requires_python: str = ""
    others: tuple[str, ...] = ()
    """Further versions of it that are found later on the path."""


@dataclass(frozen=True)
class Environment:
    """What is installed for one Python."""

    python: str = ""
    executable: str = ""
    packages: Mapping[str, Package] = field(default_factory=dict)
    """Normalized name -> package."""
    markers: Mapping[str, str] = field(default_factory=dict)
    """The values of environment markers there, such as `sys_platform`."""

    def version(self, name: str) -> str | None:
        found = self.packages.get(canonicalize_name(name))
        return found.version if found else None


@dataclass(frozen=True)
class Misfit:
    """Versions that do not fit together."""

    id: str
    severity: str
    versions: Mapping[str, str]
    """Package -> the installed version."""
    why: str
    do: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Versions of packages that are known to break each other."""

    id: str
    severity: str
    packages: Mapping[str, SpecifierSet]
    why: str
    do: str
    evidence: tuple[str, ...]
    breaks: Mapping[str, str]
    fits: Mapping[str, str]


@cache
def pairs() -> tuple[Pair, ...]:
    """The pairs of `versions.toml`."""
    file = resources.files("trainwatch.runner.triage") / "versions.toml"
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Pair, ...]:
    """
    Raises:
        ValueError: not TOML, or a pair without what it needs.
    """
    found = []
    for table in tomllib.loads(text).get("pair", []):
        try:
            found.append(_pair(table))
        except (KeyError, TypeError, InvalidSpecifier) as error:
            raise ValueError(f"pair {table.get('id')!r}: {error!r}") from None
    return tuple(found)


def _pair(table: Mapping[str, Any]) -> Pair:
    return Pair(
        table["id"],
        table["severity"],
        {name: SpecifierSet(spec) for name, spec in table["packages"].items()},
        table["why"],
        table["do"],
        tuple(table["evidence"]),
        table["breaks"],
        table["fits"],
    )


def misfits(environment: Environment) -> list[Misfit]:
    """Everything that does not fit, the serious first."""
    found = [
        *_known(environment),
        *_python(environment),
        *_asked(environment),
        *_twice(environment),
    ]
    return sorted(found, key=lambda misfit: misfit.severity != "serious")


def _known(environment: Environment) -> Iterable[Misfit]:
    for pair in pairs():
        there = {name: environment.version(name) for name in pair.packages}
        versions = {name: version for name, version in there.items() if version}
        if len(versions) == len(there) and all(
            holds(spec, versions[name]) for name, spec in pair.packages.items()
        ):
            yield Misfit(
                pair.id, pair.severity, versions, pair.why, pair.do, pair.evidence
            )


def _python(environment: Environment) -> Iterable[Misfit]:
    for name in WATCHED:
        package = environment.packages.get(name)
        wanted = _specifiers(package.requires_python) if package else None
        if package and wanted and not holds(wanted, environment.python):
            yield Misfit(
                f"{name}-python",
                "serious",
                {name: package.version, "python": environment.python},
                f"{name} {package.version} asks for Python {package.requires_python}.",
                "Use such a Python, or an older version of the package.",
                (f"metadata of {name} {package.version}: Requires-Python",),
            )


def _asked(environment: Environment) -> Iterable[Misfit]:
    """What a watched package asks for, and what is there instead."""
    for name in WATCHED:
        package = environment.packages.get(name)
        for line in package.requires if package else ():
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            there = environment.version(wanted.name)
            if there is not None and holds(wanted.specifier, there):
                continue
            extra = _extra(wanted, environment.markers)
            if package is None or extra is None:
                continue
            core = canonicalize_name(wanted.name) in TOGETHER
            if extra and (there is None or not core):
                continue  # What an extra would bring was not asked for.
            yield _other(name, package, wanted, there, extra, core)


def _other(
    name: str,
    package: Package,
    wanted: Requirement,
    there: str | None,
    extra: str,
    core: bool,
) -> Misfit:
    has = f"{there} is installed" if there else "it is not installed"
    asks = f"its extra [{extra}] asks" if extra else "it asks"
    wish = f"{wanted.name}{wanted.specifier}"
    return Misfit(
        f"{name}-{canonicalize_name(wanted.name)}",
        "serious" if core and there and not extra else "attention",
        {name: package.version, **({wanted.name: there} if there else {})},
        f"{name} {package.version}: {asks} for {wish}, and {has}.",
        f"pip install '{wish}'",
        (f"metadata of {name} {package.version}: Requires-Dist: {wanted}",),
    )


def _extra(wanted: Requirement, markers: Mapping[str, str]) -> str | None:
    """
    The first extra that asks for `wanted`; "" where it is always asked for, None
    where it is not, or only for work on the package itself.
    """
    if wanted.marker is None or wanted.marker.evaluate({**markers, "extra": ""}):
        return ""
    for extra in _EXTRA.findall(str(wanted.marker)):
        if any(part in extra for part in ASIDE):
            continue
        if wanted.marker.evaluate({**markers, "extra": extra}):
            return str(extra)
    return None


def _twice(environment: Environment) -> Iterable[Misfit]:
    for name in WATCHED:
        package = environment.packages.get(name)
        others = [v for v in package.others if v != package.version] if package else []
        if package and others:
            yield Misfit(
                f"{name}-twice",
                "attention",
                {name: package.version},
                f"{name} is there more than once: {package.version}, then "
                f"{', '.join(others)}. The first on the path is imported.",
                f"pip uninstall {name} until it is gone, then install it once.",
                ("importlib.metadata",),
            )


def holds(spec: SpecifierSet, version: str) -> bool:
    """True when `version` is in `spec`; pre-releases count, an odd version does."""
    try:
        return spec.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return not spec


def _specifiers(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text) if text else None
    except InvalidSpecifier:
        return None
