"""
Slips in the words of a command: glued arguments, look-alike signs, cut-off lines.

A program may want such words, so none of it is certain before the program says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.repairs import BLANKS, DASHES, QUOTES

_GLUED = re.compile(r"^(--?[A-Za-z][\w-]*?[A-Za-z_])(-?\d[\d.]*(?:e[-+]?\d+)?)$")
_TWO = re.compile(r"^([^-=\s][^=\s]*?)(--[a-z][a-z_-]+)$")
_NAMES = """
    lr learning-rate epochs num-epochs num-train-epochs max-steps steps batch-size
    per-device-train-batch-size seed rank lora-r lora-alpha warmup-steps warmup-ratio
    weight-decay max-length max-seq-length gradient-accumulation-steps save-steps
    logging-steps eval-steps dropout temperature nproc-per-node num-processes batch
    rows
"""
JOINERS = "\u200c\u200d"
"""Used in scripts and emoji, not only by accident."""
OPTIONS = frozenset(_NAMES.split())
"""Options that take a number, by the names that most scripts give them."""


def slips(argv: Sequence[str], source: str = "") -> list[Accident]:
    """
    What looks wrong in `argv`.

    Args:
        argv: the command, as the shell passed it.
        source: the script's text, where it can be read: the options it knows.
    """
    found: list[Accident] = []
    for place, word in enumerate(argv[1:], 1):
        slip = (
            _blank(word, argv[place - 1])
            or _signs(word)
            or _glued(word, source)
            or _two(word, source)
        )
        if slip is not None:
            found.append(slip)
    return found


def knows(source: str, option: str) -> bool:
    """True where the script's text has the option, or a field of that name."""
    name = option.lstrip("-")
    names = {name, name.replace("-", "_"), name.replace("_", "-")}
    return any(
        re.search(rf"(?:--{re.escape(n)}\b(?![-\w])|['\"]{re.escape(n)}['\"])", source)
        or re.search(rf"^\s+{re.escape(n)}\s*:", source, re.MULTILINE)
        for n in names
    )


def part(word: str, source: str = "") -> tuple[str, str] | None:
    """`--lr1e-4` -> ("--lr", "1e-4"), where `--lr` is an option that takes a number."""
    found = _GLUED.match(word)
    if not found or not word.startswith("--"):
        return None
    option, value = found[1], found[2]
    if source and knows(source, word):
        return None
    usual = option.lstrip("-").replace("_", "-") in OPTIONS
    return (option, value) if usual or (source and knows(source, option)) else None


def _glued(word: str, source: str) -> Accident | None:
    parts = part(word, source)
    if parts is None:
        return None
    return Accident(
        "shell.glued",
        f"{word} is one word: the option {parts[0]} and its value are glued together",
        f"Write {parts[0]} {parts[1]}",
        (f"argument {word}",),
        severity="attention",
        status="likely",
    )


def _two(word: str, source: str) -> Accident | None:
    found = _TWO.match(word)
    if not found or "/" in word or not (source and knows(source, found[2])):
        return None
    return Accident(
        "shell.glued",
        f"{word} is one word: a value and the option {found[2]} are glued together",
        f"Write {found[1]} {found[2]}",
        (f"argument {word}",),
        severity="attention",
        status="likely",
    )


def _blank(word: str, before: str) -> Accident | None:
    if word.endswith("\r"):
        return Accident(
            "shell.carriage-return",
            f"the argument {word.rstrip()!r} ends with a carriage return",
            "The script that starts it has Windows line ends: sed -i 's/\\r$//' FILE",
            (f"argument {word!r}",),
            severity="attention",
            status="likely",
        )
    if not word or word.strip(" \t\n"):
        return None
    return Accident(
        "shell.backslash",
        f"an argument of nothing but blanks follows {before}",
        "A backslash before a blank does not continue the line: delete the blank "
        "after it. What stood on the next lines was not passed.",
        (f"argument {word!r}",),
        severity="attention",
        status="likely",
    )


def _signs(word: str) -> Accident | None:
    if word[:1] in DASHES and word[1:2]:
        plain = "--" + word.lstrip("".join(DASHES) + "-")
        return Accident(
            "shell.dash",
            f"the argument {word} begins with a typographic dash",
            f"Retype it: {plain}",
            (f"U+{ord(word[0]):04X} is no hyphen",),
            severity="attention",
            status="likely",
        )
    blank = next((sign for sign in word if sign in BLANKS), None)
    if blank is not None and blank not in JOINERS and " " not in word:
        return Accident(
            "shell.blank",
            f"the argument {word!r} holds a blank that is no space",
            "Retype the blanks of the command: this one came in by copy and paste.",
            (f"U+{ord(blank):04X}",),
            severity="attention",
            status="likely",
        )
    if len(word) > 1 and word[0] in QUOTES and word[-1] in QUOTES and word[0] != "`":
        return Accident(
            "shell.quotes",
            f"the argument {word} stands in typographic quotes, which the shell keeps",
            "Retype the quotes as ' or \".",
            (f"U+{ord(word[0]):04X}",),
            severity="attention",
            status="likely",
        )
    return None
