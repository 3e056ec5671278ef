"""
Warnings where they are born: the `warnings` module and `logging`.

The first of a text is told at once, its repeats as a count at most once a
second. What the user sees stays exactly as it was.
"""

from __future__ import annotations

import functools
import time
import warnings

from .guard import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

    from .process import Process

    Fields = Dict[str, Any]

FLUSH_S = 1.0
TEXTS = 1_000
"""Different texts that are remembered; above it, old ones count as new."""
BURST = 50
"""New texts told per second; the rest of a flood is counted as dropped."""
TEXT_CHARACTERS = 4_000
WARNING = 30


class Fold:
    """Repeated warnings as counts."""

    def __init__(self) -> None:
        self._repeats: Dict[Tuple[Any, ...], List[Any]] = {}
        self._second = 0
        self._told = 0
        self.lost = 0

    def add(self, key: Tuple[Any, ...], fields: Fields, now: float) -> bool:
        """Is this the first of its kind, to be told now? Else it is counted."""
        known = self._repeats.get(key)
        if known is not None:
            known[0] += 1
            known[1] = fields
            return False
        if int(now) != self._second:
            self._second, self._told = int(now), 0
        if self._told >= BURST:
            self.lost += 1
            return False
        self._told += 1
        if len(self._repeats) >= TEXTS:
            quiet = [k for k, entry in self._repeats.items() if not entry[0]]
            for old in quiet or list(self._repeats)[:1]:
                del self._repeats[old]
        self._repeats[key] = [0, fields]
        return True

    def take(self) -> List[Fields]:
        """The repeats since the last time."""
        taken = []
        for entry in list(self._repeats.values()):
            count = entry[0]
            if count:
                entry[0] -= count
                taken.append({**entry[1], "count": count})
        return taken


def watch_warnings(process: Process) -> None:
    """Chain `warnings.showwarning`."""
    before = warnings.showwarning
    fold = process.cautions = Fold()
    flushed = 0.0

    @guarded("warnings")
    def tell(message: Any, category: Any, filename: Any, lineno: Any) -> None:
        _add(
            process,
            fold,
            {
                "source": "warnings",
                "text": str(message)[:TEXT_CHARACTERS],
                "category": getattr(category, "__name__", str(category)),
                "file": str(filename),
                "line": lineno if isinstance(lineno, int) else 0,
            },
        )

    @functools.wraps(before)
    def showwarning(
        message: Any,
        category: Any,
        filename: Any,
        lineno: Any,
        file: Any = None,
        line: Any = None,
    ) -> None:
        tell(message, category, filename, lineno)
        before(message, category, filename, lineno, file, line)

    def tick(now: float) -> None:
        nonlocal flushed
        if now - flushed >= FLUSH_S:
            flushed = now
            flush(process)

    warnings.showwarning = showwarning
    process.ticks.append(tick)


def install(process: Process, module: Any) -> None:
    """Watch what loggers hand to their handlers, from WARNING up."""
    logger_class = module.Logger
    call_handlers = logger_class.callHandlers
    fold = process.cautions

    @guarded("logging")
    def tell(logger: Any, record: Any) -> None:
        if fold is None or record.name == "py.warnings":
            return
        _add(
            process,
            fold,
            {
                "source": "logging",
                "text": str(record.getMessage())[:TEXT_CHARACTERS],
                "logger": str(record.name),
                "level": str(record.levelname),
                "file": str(record.pathname),
                "line": int(record.lineno),
            },
        )

    @functools.wraps(call_handlers)
    def callHandlers(self: Any, record: Any) -> Any:
        if record.levelno >= WARNING:
            tell(self, record)
        return call_handlers(self, record)

    logger_class.callHandlers = callHandlers


def flush(process: Process) -> None:
    """Tell the repeats."""
    fold = process.cautions
    if fold is None:
        return
    for fields in fold.take():
        process.connection.say("warning_raised", fields)
    lost, fold.lost = fold.lost, 0
    process.connection.dropped += lost


def _add(process: Process, fold: Fold, fields: Fields) -> None:
    if process.silent:
        return
    phase, step = process.where()
    fields["phase"], fields["step"] = phase, step
    key = tuple(
        fields.get(name) for name in ("source", "text", "category", "logger", "file")
    )
    if fold.add(key, fields, time.monotonic()):
        process.connection.say("warning_raised", {**fields, "count": 1})
