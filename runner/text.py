"""Numbers as people read them, and text that is safe to print."""

from __future__ import annotations

import re

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: int | float | None) -> str:
    """Bytes in decimal units: 2_600_000_000 -> "2.6 GB". None: "not measured"."""
    if count is None:
        return "not measured"
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    if unit == "B":
        return f"{value:.0f} B"
    return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"


def duration(seconds: float | None) -> str:
    """0.012 -> "12 ms", 2.34 -> "2.3 s", 95 -> "1 min 35 s", 9000 -> "2 h 30 min"."""
    if seconds is None:
        return "not measured"
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    if hours < 48:
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def whole(seconds: float) -> str:
    """The same in whole seconds: 2.34 -> "2 s"."""
    rounded = max(0, round(seconds))
    return f"{rounded} s" if rounded < 60 else duration(rounded)


_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC
    r"|[PX^_][^\x1b]*(?:\x1b\\|$)"  # DCS, SOS, PM, APC
    r"|[ -/]*[0-~])"
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(line: str) -> str:
    """`line` without escape sequences, control characters, what turns the
    direction of writing, and halves of characters; tabs and newlines are kept."""
    if line.isprintable():
        return line
    return _CONTROLS.sub("", _ESCAPES.sub("", line))


def flat(text: str) -> str:
    """The same in one line, so that no text can look like another line of ours."""
    return " ".join(plain(text).splitlines())


def last_writing(line: str) -> str:
    """What a terminal shows of a line with carriage returns: the last writing."""
    if "\r" not in line:
        return line
    return line.rstrip("\r").rpartition("\r")[2]
