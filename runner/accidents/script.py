"""The script that a command runs, read and not executed."""

from __future__ import annotations

import ast
import io
import os
import tokenize
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainwatch.runner.accidents.shellscript import SHELLS

LONGEST = 2 << 20
"""Bytes; a longer file is not looked at."""


@dataclass(frozen=True)
class Script:
    path: Path
    name: str
    """How the command calls it."""
    text: str = ""
    language: str = "python"
    """`python` or `shell`."""
    undecoded: str = ""
    """Why its bytes are no text, if they are not."""

    @property
    def folder(self) -> Path:
        return self.path.parent

    def tree(self) -> ast.Module | None:
        """Its syntax; None where the Python that runs us cannot read it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None


def script_of(argv: Sequence[str], cwd: str) -> Script | None:
    """The script of a command, also behind launchers; None where there is none."""
    for place, word in enumerate(argv):
        if word == "-c":
            return None
        after_shell = place > 0 and os.path.basename(argv[place - 1]) in SHELLS
        if word.endswith(".py") or (place == 0 and os.sep in word):
            language = "shell" if word.endswith(".sh") else "python"
        elif word.endswith((".sh", ".bash")) or (after_shell and word[:1] != "-"):
            language = "shell"
        else:
            continue
        found = read(Path(os.path.join(cwd, word)), word, language)
        if found is not None:
            return found
    return None


def read(path: Path, name: str, language: str = "python") -> Script | None:
    """The script at `path`; None where it is too long, binary or not readable."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    if data.startswith((b"\x7fELF", b"\xcf\xfa\xed\xfe", b"PK\x03\x04")):
        return None
    first = data.partition(b"\n")[0]
    if first.lstrip(b"\xef\xbb\xbf").startswith(b"#!"):
        if b"python" in first:
            language = "python"
        elif any(first.strip().endswith(shell.encode()) for shell in SHELLS):
            language = "shell"
    elif language == "python" and path.suffix != ".py":
        return None
    try:
        encoding = "utf-8"
        if language == "python":
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return Script(path, name, data.decode(encoding), language)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return Script(path, name, "", language, undecoded=str(error))
