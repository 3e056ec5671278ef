"""Failures of the command line: what a program said of its arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from trainwatch.runner.accidents import arguments, place
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.failure import Failure, Setting

_REFUSED = re.compile(r"^\S.{0,200}?: error: (.+)$", re.MULTILINE)
_UNKNOWN = re.compile(r"^unrecognized arguments: (.+)$")
_INVALID = re.compile(r"^argument (\S+): invalid (\w+) value: '(.*)'$")
_UNUSED = re.compile(r"arguments are not used by the HfArgumentParser: \[(.+)\]")
_OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)")


def refused(text: str, argv: Sequence[str]) -> Accident | None:
    """What a program that ended with a usage error said of its arguments."""
    found = _REFUSED.search(text)
    usage = text.rfind("usage:", 0, found.start()) if found else -1
    if found is None or usage < 0:
        return None
    said, known = found[1].strip(), text[usage : found.start()]
    unknown, invalid = _UNKNOWN.match(said), _INVALID.match(said)
    if unknown is not None:
        return _arguments(unknown[1].split(), known, argv, f"error: {said}")
    words = [invalid[3]] if invalid is not None else []
    slip = _slip(words, known, argv, f"error: {said}")
    return slip or Accident(
        "shell.arguments",
        f"the program refused its arguments: {said[:200]}",
        "Look at its --help, and at the command as it was passed.",
        (f"error: {said}",),
    )


def parsed(failure: Failure, setting: Setting) -> Accident | None:
    """What the parser of transformers did not use."""
    found = _UNUSED.search(failure.message)
    if found is None:
        return None
    words = [word.strip(" '\"") for word in found[1].split(",")]
    return _arguments(words, "", setting.argv, found[0])


def _arguments(
    words: Sequence[str], usage: str, argv: Sequence[str], evidence: str
) -> Accident | None:
    slip = _slip(words, usage, argv, evidence)
    if slip is not None:
        return slip
    known = _options(usage)
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


def _slip(
    words: Sequence[str], usage: str, argv: Sequence[str], evidence: str
) -> Accident | None:
    """A slip of the fingers in these words, or where the command was cut off."""
    source = " ".join(_options(usage))
    slips = arguments.slips(["", *words], source) or [
        slip for slip in arguments.slips(argv, source) if slip.rule == "shell.backslash"
    ]
    if not slips:
        return None
    return replace(slips[0], status="established", evidence=(evidence,))


def _options(usage: str) -> list[str]:
    return list(dict.fromkeys(_OPTION.findall(usage)))
