"""
The arguments that an installed class or function takes, read from its source.

Nothing is imported: its file is looked for in the package's folder, and parsed.
"""

from __future__ import annotations

import ast
import difflib
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

SECONDS = 0.5
FILES = 4_000
LONGEST = 1 << 20
DEEP = 4
"""Classes up the line of inheritance."""
ALIKE = 0.75
FIRST = ("trainer", "training_args.py", "trainer.py", "accelerator.py", "load.py")
"""Where most of what people call lies: looked at first."""
LAST = ("models", "experimental", "tests")


def parameters(
    owner: str, package: str, folders: Sequence[Path]
) -> frozenset[str] | None:
    """
    What may be passed to `owner` of `package` by name; None where it is not found,
    or takes any name.

    Args:
        owner: a class or a function.
        package: where it is looked for.
        folders: where packages are installed.
    """
    root = next((f / package for f in folders if (f / package).is_dir()), None)
    if root is None:
        return None
    found = _named(owner, root, time.monotonic() + SECONDS, DEEP)
    return None if found is None or "**" in found else frozenset(found)


def nearest(name: str, known: frozenset[str]) -> str | None:
    """The one that was probably meant."""
    close = difflib.get_close_matches(name, known, 1, ALIKE)
    return close[0] if close else None


def _named(owner: str, root: Path, deadline: float, deep: int) -> set[str] | None:
    pattern = re.compile(rf"^(?:class|(?:async )?def) {re.escape(owner)}\b", re.M)
    for path in _files(root):
        if time.monotonic() > deadline:
            return None
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if not pattern.search(text):
            continue
        for node in _body(text):
            if getattr(node, "name", "") == owner:
                return _of(node, root, deadline, deep)
    return None


def _of(node: ast.stmt, root: Path, deadline: float, deep: int) -> set[str] | None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _taken(node)
    if not isinstance(node, ast.ClassDef):
        return None
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _taken(part) - {"self"}
    fields = {
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    for base in node.bases:
        name = base.attr if isinstance(base, ast.Attribute) else None
        name = base.id if isinstance(base, ast.Name) else name
        if name in (None, "object", "ABC", "PushToHubMixin"):
            continue
        more = _elsewhere(str(name), root, deadline, deep - 1) if deep else None
        if more is None:
            return None
        fields |= more
    return fields


def _elsewhere(name: str, root: Path, deadline: float, deep: int) -> set[str] | None:
    """A base class, in the same package or in transformers beside it."""
    found = _named(name, root, deadline, deep)
    beside = root.parent / "transformers"
    if found is None and root != beside and beside.is_dir():
        return _named(name, beside, deadline, deep)
    return found


def _taken(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    found = {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}
    return found | {"**"} if node.args.kwarg else found


def _body(text: str) -> list[ast.stmt]:
    if len(text) > LONGEST:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []


def _files(root: Path) -> Iterator[Path]:
    first = [root / name for name in FIRST]
    for place in first:
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(place.glob("*.py"))
    left = FILES
    folders = [root]
    while folders:
        folder = folders.pop(0)
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            left -= 1
            if left < 0:
                return
            if entry.suffix == ".py" and entry not in first:
                yield entry
            elif entry.is_dir() and entry.name not in LAST:
                folders.append(entry)
