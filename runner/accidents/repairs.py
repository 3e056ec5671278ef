"""
Repairs of a line that Python cannot read, each the undoing of a common slip.

A repair that does not apply to the line returns None. Those that come from copying
a whole piece (prompts, quotes, no-break spaces) mend every such line at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Lines = Sequence[str]
Mend = Callable[[Lines, int], "list[str] | None"]

QUOTES = {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'}
QUOTES |= {"‘": "'", "’": "'", "‚": "'", "`": "'", "´": "'"}
DASHES = dict.fromkeys("–—−‒―‐‑", "-")
BLANKS = {**dict.fromkeys("\u00a0\u2007\u202f\u3000\u2009", " ")}
BLANKS |= dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", "")
_WORDS = "import|from|def|class|for|while|if|with|return|try|else|elif|except|async"
_STRAY = re.compile(rf"^(\s*)([^\s#'\"]{{1,3}}?)((?:{_WORDS})\b.*)$", re.DOTALL)
_APART = re.compile(rf"^(\s*)([^\s#'\"]{{1,2}})[ \t]+((?:{_WORDS})\b.*)$", re.DOTALL)
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.|In \[\d+\]:|>|\$|%|#>)(?: |$)")
_NUMBERED = re.compile(r"^\s*\d{1,5}[:|.]?\s(?=\s*\S)|^\s*\d{1,5}$")
_FENCE = re.compile(r"^\s*(?:```|~~~)\w*\s*$")
_NOTEBOOK = re.compile(r"^\s*(?:!|%%?)\s*[a-zA-Z]")
_SHELL = re.compile(
    r"^\s*(?:[$#] )?(?:cat\s*<<|EOF\b|pip3? install|conda |python3? \S|export \w+="
    r"|cd \S|sudo )"
)
_CONFLICT = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)")
_BACKSLASH = re.compile(r"\\[ \t]+$")
_PRINT = re.compile(r"^(\s*)(print|exec) (?!\()(.+)$")


@dataclass(frozen=True)
class Repair:
    rule: str
    what: Callable[[str], str]
    """The slip in words, by the line."""
    do: str
    """The smallest thing to do; `{line}` and `{name}` are filled in."""
    mend: Mend
    certain: bool = True
    """That it mends the line leaves no other reading."""


def _each(pattern: re.Pattern[str], text: str = "") -> Mend:
    """Mends every line that begins like the faulty one."""

    def mend(lines: Lines, place: int) -> list[str] | None:
        if not pattern.match(lines[place - 1]):
            return None
        return [pattern.sub(text, line, count=1) for line in lines]

    return mend


def _dropped(pattern: re.Pattern[str]) -> Mend:
    """Leaves out every such line."""

    def mend(lines: Lines, place: int) -> list[str] | None:
        if not pattern.match(lines[place - 1]):
            return None
        return [_nothing(line) if pattern.match(line) else line for line in lines]

    return mend


def _nothing(line: str) -> str:
    return line[: len(line) - len(line.lstrip())] + "pass"


def _translated(table: dict[str, str]) -> Mend:
    """Puts plain characters for look-alikes, everywhere."""

    def mend(lines: Lines, place: int) -> list[str] | None:
        if not any(sign in lines[place - 1] for sign in table):
            return None
        plain = str.maketrans(table)
        return [line.translate(plain) for line in lines]

    return mend


def _stray(lines: Lines, place: int) -> list[str] | None:
    found = _STRAY.match(lines[place - 1]) or _APART.match(lines[place - 1])
    if not found:
        return None
    return _with(lines, place, found[1] + found[3])


def _stray_words(line: str) -> str:
    found = _STRAY.match(line) or _APART.match(line)
    assert found is not None
    word = found[3].split()[0]
    return f"a stray “{found[2]}” stands before `{word}`"


def _numbered(lines: Lines, place: int) -> list[str] | None:
    """A number before every line, which goes up."""
    written = [line for line in lines if line.strip()]
    if len(written) < 2 or not all(_NUMBERED.match(line) for line in written):
        return None
    return [_NUMBERED.sub("", line, count=1) for line in lines]


def _conflict(lines: Lines, place: int) -> list[str] | None:
    if not _CONFLICT.match(lines[place - 1]):
        return None
    mended, theirs = [], False
    for line in lines:
        if line.startswith(("=======", "|||||||")):
            theirs = True
        elif line.startswith(">>>>>>>"):
            theirs = False
        elif not line.startswith("<<<<<<<") and not theirs:
            mended.append(line)
    return mended


def _tabs(lines: Lines, place: int) -> list[str] | None:
    before = [line[: len(line) - len(line.lstrip())] for line in lines]
    if not any("\t" in indent for indent in before):
        return None
    for width in (4, 8):
        mended = [line.expandtabs(width) for line in lines]
        if mended != list(lines):
            return mended
    return None


def _backslash(lines: Lines, place: int) -> list[str] | None:
    if not _BACKSLASH.search(lines[place - 1]):
        return None
    return [_BACKSLASH.sub(lambda _: "\\", line) for line in lines]


def _print(lines: Lines, place: int) -> list[str] | None:
    if not _PRINT.match(lines[place - 1]):
        return None
    return [_PRINT.sub(r"\1\2(\3)", line) for line in lines]


def _zero(lines: Lines, place: int) -> list[str] | None:
    if not any("\0" in line for line in lines):
        return None
    return [line.replace("\0", "") for line in lines]


def _last(lines: Lines, place: int) -> list[str] | None:
    """A letter typed into the end of a line that was whole."""
    line = lines[place - 1].rstrip()
    if not line or line[-1].isspace() or line.endswith((":", ",", "\\")):
        return None
    return _with(lines, place, line[:-1])


def _first(lines: Lines, place: int) -> list[str] | None:
    line = lines[place - 1]
    indent = line[: len(line) - len(line.lstrip())]
    rest = line.lstrip()
    if len(rest) < 2 or rest[0] in "#'\"":
        return None
    return _with(lines, place, indent + rest[1:])


def _with(lines: Lines, place: int, line: str) -> list[str]:
    return [*lines[: place - 1], line, *lines[place:]]


def _named(table: dict[str, str], what: str) -> Callable[[str], str]:
    def words(line: str) -> str:
        sign = next(sign for sign in line if sign in table)
        name = unicodedata.name(sign, "").lower()
        shown = f"{sign} " if sign.isprintable() and not sign.isspace() else ""
        return f"{what} {shown}(U+{ord(sign):04X}, {name})"

    return words


def _says(text: str) -> Callable[[str], str]:
    return lambda line: text


REPAIRS = (
    Repair(
        "shell.conflict",
        _says("a git conflict mark stands"),
        "Resolve the conflict around line {line}.",
        _conflict,
    ),
    Repair(
        "shell.pasted-mark",
        _says("a code fence was pasted along: it stands"),
        "Delete line {line}.",
        _dropped(_FENCE),
    ),
    Repair(
        "shell.pasted-mark",
        _says("a command of the shell, which is no Python, stands"),
        "Delete line {line}, and run it in the shell.",
        _dropped(_SHELL),
    ),
    Repair(
        "shell.pasted-mark",
        _says("a prompt sign was pasted along: it stands"),
        "Delete the prompt signs at the start of line {line} and the lines like it.",
        _each(_PROMPT),
    ),
    Repair(
        "shell.notebook",
        _says("a notebook command, which is no Python, stands"),
        "Delete line {line}, and run what it does in the shell.",
        _dropped(_NOTEBOOK),
    ),
    Repair(
        "shell.quotes",
        _named(QUOTES, "a typographic quote"),
        "Retype the quotes on line {line} as ' or \".",
        _translated(QUOTES),
    ),
    Repair(
        "shell.quotes",
        _named(DASHES, "a typographic dash"),
        "Retype the dash on line {line} as -.",
        _translated(DASHES),
    ),
    Repair(
        "shell.blank",
        _named(BLANKS, "a blank that is no space"),
        "Retype the blanks on line {line}.",
        _translated(BLANKS),
    ),
    Repair(
        "shell.quotes",
        _says("look-alikes of quotes, dashes or spaces stand"),
        "Retype the quotes, dashes and spaces on line {line}.",
        _translated({**QUOTES, **DASHES, **BLANKS}),
    ),
    Repair(
        "shell.pasted-mark",
        _says("a line number was pasted along: it stands"),
        "Delete the number at the start of line {line} and the lines like it.",
        _numbered,
    ),
    Repair(
        "shell.stray",
        _stray_words,
        "Delete it: line {line} of {name}.",
        _stray,
    ),
    Repair(
        "shell.indentation",
        _says("tabs and spaces are mixed in the indentation, seen"),
        "Indent line {line} like its neighbours, with spaces alone.",
        _tabs,
    ),
    Repair(
        "shell.backslash",
        _says("a blank follows the backslash"),
        "Delete the blank at the end of line {line}.",
        _backslash,
    ),
    Repair(
        "shell.python2",
        _says("Python 2 is written"),
        "Put brackets around what is printed, or run it with Python 2.",
        _print,
    ),
    Repair(
        "shell.encoding",
        _says("there are zero bytes, as in UTF-16, seen"),
        "Save {name} as UTF-8.",
        _zero,
    ),
    Repair(
        "shell.stray",
        lambda line: f"a stray “{line.lstrip()[0]}” begins the statement",
        "Delete it: line {line} of {name}.",
        _first,
        certain=False,
    ),
    Repair(
        "shell.stray",
        lambda line: f"a stray “{line.rstrip()[-1]}” ends the statement",
        "Delete it: line {line} of {name}.",
        _last,
        certain=False,
    ),
)
"""In the order of trying: what leaves least doubt comes first."""
