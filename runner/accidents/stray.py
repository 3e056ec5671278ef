"""
A word that stands alone in a script and means nothing: it stops with a NameError.

The end mark of a heredoc (`EOF`) that was saved along, or a letter typed into the
wrong window. Only at the top of the script, where nothing else can define the name.
"""

from __future__ import annotations

import ast
import builtins

from trainwatch.runner.accidents.accident import Accident

MARKS = ("EOF", "EOT", "END", "PY", "EOL", "EOS", "_EOF", "__EOF__", "PYTHON", "HERE")

WRITERS = ("cat", "tee")
"""Commands that a heredoc is given to."""


def stray(tree: ast.Module, name: str) -> Accident | None:
    """
    The first such word.

    Args:
        tree: the script.
        name: how the script is called in sentences.
    """
    known: set[str] | None = None
    for node in tree.body:
        word = _word(node)
        if not word:
            continue
        if known is None:
            known = _bound(tree)
        if word in known or hasattr(builtins, word):
            continue
        return alone(word, node.lineno, name)
    return None


def opens_heredoc(word: str, line: str) -> bool:
    return word in WRITERS and "<<" in line


def _word(node: ast.stmt) -> str:
    """A name and nothing else; or that of `cat > file << EOF`, read as Python."""
    if not isinstance(node, ast.Expr):
        return ""
    value = node.value
    if isinstance(value, ast.Compare) and isinstance(value.left, ast.Name):
        shifts = [n for n in ast.walk(value) if isinstance(n, ast.LShift)]
        return value.left.id if shifts and value.left.id in WRITERS else ""
    return value.id if isinstance(value, ast.Name) else ""


def alone(word: str, line: int, name: str) -> Accident:
    if word in WRITERS:
        return Accident(
            "shell.heredoc-name",
            f"the command of a heredoc, {word} …, was saved as line {line} of {name}",
            f"Delete line {line} of {name}, and the end mark below.",
            (f"{word} is defined nowhere",),
        )
    if word in MARKS:
        return Accident(
            "shell.heredoc-name",
            f"the end mark of a heredoc, {word}, was saved as line {line} of {name}",
            f"Delete line {line} of {name}.",
            (f"{word} is defined nowhere",),
        )
    return Accident(
        "shell.stray",
        f"a stray “{word}” stands alone on line {line} of {name}",
        f"Delete line {line} of {name}.",
        (f"{word} is defined nowhere",),
    )


def _bound(tree: ast.Module) -> set[str]:
    """Every name that anything in the script could define; `*` defines them all."""
    found: set[str] = {"__file__", "__name__", "__doc__", "__spec__", "__loader__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return _Everything()
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Global):
            found.update(node.names)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            if node.name:
                found.add(node.name)
        elif isinstance(node, ast.Call) and _defines_any(node.func):
            return _Everything()
    return found


def _defines_any(function: ast.expr) -> bool:
    names = ("exec", "globals", "locals", "vars", "setattr")
    return isinstance(function, ast.Name) and function.id in names


class _Everything(set[str]):
    def __contains__(self, name: object) -> bool:
        return True
