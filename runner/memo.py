"""
The fold, kept beside the log so that a reader need not fold it all again.

`state.json` holds a state and the offset in `events.jsonl` up to which it was
folded. It is a cache: when it is missing, damaged or of another version, the
log is read from the start.
"""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from trainwatch.runner.files import read_json, write_atomically
from trainwatch.runner.state import EMPTY, RunState

FILE = "state.json"
VERSION = 1

T = TypeVar("T")


def save(folder: Path, state: RunState, offset: int) -> None:
    """
    Raises:
        OSError: it cannot be written.
    """
    document = {"version": VERSION, "offset": offset, "state": plain(state)}
    text = json.dumps(document, separators=(",", ":"))
    write_atomically(folder / FILE, text.encode())


def load(folder: Path) -> tuple[RunState, int]:
    """The kept state and its offset, or the empty state and 0."""
    try:
        document = read_json(folder / FILE)
        if document["version"] != VERSION:
            return EMPTY, 0
        return revive(RunState, document["state"]), int(document["offset"])
    except (OSError, ValueError, KeyError, TypeError):
        return EMPTY, 0


def plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON values; a non-finite float as text."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def revive(kind: type[T], data: Any) -> T:
    """
    The value of type `kind` that `plain` made `data` of.

    Raises:
        TypeError, ValueError, KeyError: `data` is something else.
    """
    revived: T = _revive(kind, data)
    return revived


def _revive(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if data is None:
            return None
        (kind,) = (arg for arg in typing.get_args(kind) if arg is not type(None))
        return _revive(kind, data)
    if origin is tuple:
        parts = typing.get_args(kind)
        if len(parts) == 2 and parts[1] is Ellipsis:
            return tuple(_revive(parts[0], item) for item in data)
        return tuple(
            _revive(part, item) for part, item in zip(parts, data, strict=True)
        )
    if origin is not None and issubclass(origin, Mapping):
        key, item = typing.get_args(kind)
        return {_revive(key, k): _revive(item, v) for k, v in data.items()}
    if is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]
        known = {name: data[name] for name in data if name in hints}
        return kind(**{n: _revive(hints[n], v) for n, v in known.items()})  # type: ignore[operator]
    if kind is float:
        return float(data)
    if kind is int:
        return int(data)
    return data


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
