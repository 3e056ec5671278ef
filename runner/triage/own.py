"""
The user's own file: marks on families of warnings, and rules of their own.

    [[mark]]                                  what `m` in the warnings view writes
    family = "generation.flags-ignored"
    severity = "harmless"                     for you; or nothing
    known = true                              not new to you
    was = "attention"                         what you judged; worse, and it is shown

    [[rule]]                                  as in docs/rules.md; asked before ours

It changes what this person sees, never what the log of a run says. A table with an
error is named with its line and left out; the others hold.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainwatch.runner.files import locked, write_atomically
from trainwatch.runner.home import home
from trainwatch.runner.triage.marks import Mark, from_table, to_table
from trainwatch.runner.triage.rules import Rule, RuleError, parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "rules.toml"
MAX_BYTES = 1 << 20
HEAD = "# Your own marks and rules; docs/rules.md says how they are written.\n"

_HEADER = re.compile(r"^[ \t]{0,80}\[\[[ \t]{0,80}([\w-]{1,40})[ \t]{0,80}\]\]")
_TABLE = re.compile(r"^[ \t]{0,80}\[")
_AT_LINE = re.compile(r" \(at line (\d{1,7}), column \d{1,7}\)")


@dataclass(frozen=True)
class Problem:
    """A table that cannot be used."""

    line: int
    text: str


@dataclass(frozen=True)
class Own:
    """All that a user's file says."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()

    def said(self, path: Path) -> tuple[str, ...]:
        """The problems, as lines that name the file."""
        return tuple(f"{path}:{p.line}: {p.text}" for p in self.problems)


NOTHING = Own()


def own_file() -> Path:
    """`rules.toml` in `$TRAINWATCH_HOME`, else in the user's configuration folder."""
    if os.environ.get("TRAINWATCH_HOME"):
        return home() / FILE
    from platformdirs import user_config_path

    return user_config_path("trainwatch") / FILE


# --- reading ------------------------------------------------------------------


def read(path: Path) -> Own:
    """The file at `path`; one that is not there says nothing."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        return Own(problems=(Problem(1, error.strerror or str(error)),))
    if len(data) > MAX_BYTES:
        return Own(problems=(Problem(1, f"larger than {MAX_BYTES} bytes"),))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Own(problems=(Problem(line, "not UTF-8"),))
    return parse_own(text)


class OwnFile:
    """The file at `path`, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._own = NOTHING

    def look(self) -> Own:
        """What it says now."""
        try:
            found = self.path.stat()
        except OSError:
            stamp = None
        else:
            stamp = found.st_mtime_ns, found.st_size
        if stamp != self._stamp:
            self._stamp = stamp
            self._own = read(self.path)
        return self._own


def parse_own(text: str) -> Own:
    """Every table by itself, so that an error in one leaves the others."""
    marks: dict[str, Mark] = {}
    found: dict[str, Rule] = {}
    problems: list[Problem] = []
    for line, name, block in _blocks(text):
        try:
            data = tomllib.loads(block)
        except tomllib.TOMLDecodeError as error:
            problems.append(_problem(line, str(error)))
            continue
        if not name:
            if data:
                told = f"only [[mark]] and [[rule]] tables are known, not {min(data)!r}"
                problems.append(Problem(line, told))
        elif name == "mark":
            try:
                mark = from_table(data["mark"][0])
            except ValueError as error:
                problems.append(Problem(line, f"mark: {error}"))
            else:
                marks[mark.family] = mark
        elif name == "rule":
            try:
                (rule,) = parse(block, "rule")
                if rule.id in found:
                    raise RuleError(f"rule {rule.id!r} is there twice")
            except RuleError as error:
                said = str(error)
                problems.append(Problem(line, said.removeprefix("rule: ")))
            else:
                found[rule.id] = replace(rule, raised=True)
        else:
            told = f"only [[mark]] and [[rule]] tables are known, not [[{name}]]"
            problems.append(Problem(line, told))
    return Own(marks, tuple(found.values()), tuple(problems))


def _blocks(text: str) -> list[tuple[int, str, str]]:
    """(first line, name, text) of what stands before the tables, and of each."""
    found: list[tuple[int, str, list[str]]] = [(1, "", [])]
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header:
            found.append((number, header[1], []))
        found[-1][2].append(line)
    return [(line, name, "\n".join(lines)) for line, name, lines in found]


def _problem(line: int, said: str) -> Problem:
    at = _AT_LINE.search(said)
    if at is None:
        return Problem(line, said)
    return Problem(line + int(at[1]) - 1, said[: at.start()])


# --- writing ------------------------------------------------------------------


def write_mark(path: Path, mark: Mark) -> None:
    """
    Put `mark` into the file, in place of an earlier one of its family. Everything
    else in it stays as it is. One without severity and not known only removes.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_name(path.name + ".lock")):
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = HEAD
        write_atomically(path, with_mark(text, mark).encode())


def with_mark(text: str, mark: Mark) -> str:
    """`text` of a file, with `mark` in it."""
    kept: list[str] = []
    for _, name, block in _blocks(text):
        if name == "mark" and _family_of(block) == mark.family:
            # What follows a mark's own lines, such as a remark, is the user's.
            lines = block.split("\n")
            last = max(n for n, line in enumerate(lines) if _is_entry(line))
            kept += lines[last + 1 :]
        else:
            kept += block.split("\n")
    text = "\n".join(kept).rstrip("\n") + "\n"
    if mark.severity or mark.known:
        text += "\n" + to_table(mark)
    return text


def _is_entry(line: str) -> bool:
    bare = line.strip()
    return bool(bare) and not bare.startswith("#")


def _family_of(block: str) -> str:
    try:
        table = tomllib.loads(block)["mark"][0]
    except (tomllib.TOMLDecodeError, KeyError, IndexError):
        return ""
    family = table.get("family", "") if isinstance(table, dict) else ""
    return family if isinstance(family, str) else ""
