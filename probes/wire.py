"""
One event as one JSON line.

Apart from the schema, because the schema takes long to import and a process
says hello before it needs the rest.
"""

from __future__ import annotations

import json
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

SCHEMA_VERSION = 1
MAX_LINE_BYTES = 1 << 20

_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def encode_line(
    kind: str,
    fields: Dict[str, Any],
    *,
    time: float,
    mono: float = 0.0,
    pid: int = 0,
    rank: Optional[int] = None,
    seq: int = 0,
    v: int = SCHEMA_VERSION,
) -> str:
    """
    The line of an event, without the newline.

    A float that JSON cannot hold becomes the string "nan", "inf" or "-inf".

    Raises:
        TypeError, ValueError: a field holds something that is not JSON.
    """
    line: Dict[str, Any] = {
        "v": v,
        "seq": seq,
        "time": round(time, 6),
        "mono": round(mono, 6),
        "rank": rank,
        "pid": pid,
        "type": kind,
    }
    line.update(fields)
    try:
        return _encoder.encode(line)
    except ValueError:
        return _encoder.encode(_finite(line))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
