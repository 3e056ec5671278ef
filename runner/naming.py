"""What a run is called. Names are shown and compared, and never become a path."""

from __future__ import annotations

from trainwatch.runner.errors import UsageError
from trainwatch.runner.text import plain

LONGEST = 80


def checked(name: str) -> str:
    """
    `name` without the space around it.

    Raises:
        UsageError: it cannot be the name of a run.
    """
    name = name.strip()
    if not name:
        raise UsageError("a name has at least one letter")
    if len(name) > LONGEST:
        raise UsageError(f"a name has at most {LONGEST} letters, this has {len(name)}")
    if not name.isprintable() or plain(name) != name:
        raise UsageError("a name is one line of letters that can be seen")
    if "/" in name or "\\" in name or name[0] in ".-":
        raise UsageError(f"{name!r} looks like a path or an option, not like a name")
    if name == "last":
        raise UsageError("'last' means the newest run")
    return name


def tidy(text: str) -> str:
    """`text` as a name, whatever it holds."""
    kept = "".join(c for c in plain(text) if c.isprintable() and c not in "/\\")
    kept = kept.strip().lstrip(".-")[:LONGEST].strip()
    return "run" if kept in ("", "last") else kept
