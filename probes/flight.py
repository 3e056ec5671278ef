"""
The flight record: what a process is doing, in a small file that outlives it.

The training process writes it through a memory map on every phase change, which
costs about a microsecond and no system call; anyone may read the file, also
while the process is blocked in C and after SIGKILL. Times are the monotonic
clock.

Layout, little-endian, 4096 bytes: a header, the current phase, its counters,
memory, the last error, and a ring of the last phase changes. The current phase
stands between two copies of a sequence number, which also counts the ring's
entries: a reader that sees them differ reads again.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import List, Optional, Tuple

from .events import PHASES

MAGIC = b"TWFLIGHT"
LAYOUT = 2
SIZE = 4096

_HEADER = struct.Struct("<8sHxxIdd")
"""magic, layout, pid, wall clock and monotonic clock at creation"""
_CURRENT = struct.Struct("<IBBxxdqqI")
"""sequence, phase, depth, since, step, micro-step, sequence again"""
_COUNTERS = struct.Struct("<qqqq")
"""tokens, bytes, rows, total"""
_COUNTERS_AT = 80
_DETAIL_AT, _DETAIL_SIZE = 128, 128
_MEMORY = struct.Struct("<dqqqq")
"""when, allocated, reserved, peak, rss"""
_MEMORY_AT = 256
_ERROR_AT, _ERROR_SIZE = 320, 256
_BEAT = struct.Struct("<d")
_BEAT_AT = 576
_COUNTER = struct.Struct("<q")
_RING_AT = 640
_RING_ENTRY = struct.Struct("<Bxxxid")
"""phase, step, when"""
RING = (SIZE - _RING_AT) // _RING_ENTRY.size
_CURRENT_AT = 40

NUMBER = {name: number for number, name in enumerate(PHASES)}
_UNKNOWN = -1


@dataclass(frozen=True)
class Reading:
    """One look at a flight record. Unmeasured numbers are None."""

    pid: int
    phase: str
    since: float
    depth: int
    step: Optional[int]
    micro_step: Optional[int]
    tokens: Optional[int]
    bytes: Optional[int]
    rows: Optional[int]
    total: Optional[int]
    detail: str
    beat: Optional[float]
    """When the interpreter last ran our sampler thread."""
    memory_at: Optional[float]
    allocated: Optional[int]
    reserved: Optional[int]
    peak: Optional[int]
    rss: Optional[int]
    error: str
    wall_minus_mono: float


class FlightRecord:
    """
    The writing side. One per process; the training thread writes phases, the
    sampler thread memory and beats.

    Raises:
        OSError: the file cannot be created or mapped.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # Reserve the blocks now: writing to a hole of a full disk through
            # a memory map kills the process with SIGBUS.
            os.write(descriptor, b"\0" * SIZE)
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._sequence = 0
        self._detail = b""
        self._counted = True
        """A counter is not -1."""
        self.phase("start")
        _HEADER.pack_into(
            self._map, 0, MAGIC, LAYOUT, os.getpid(), time.time(), time.monotonic()
        )

    def phase(
        self,
        name: str,
        since: Optional[float] = None,
        depth: int = 0,
        step: int = _UNKNOWN,
        micro_step: int = _UNKNOWN,
    ) -> None:
        """
        Record that `name` is the current phase since `since` (monotonic), without
        counters and detail.
        """
        if since is None:
            since = time.monotonic()
        if self._counted:
            self._clear()
        number = NUMBER[name]
        self._sequence = sequence = (self._sequence + 1) & 0xFFFFFFFF
        _RING_ENTRY.pack_into(
            self._map,
            _RING_AT + sequence % RING * _RING_ENTRY.size,
            number,
            step if -1 <= step <= 0x7FFFFFFF else -1,
            since,
        )
        _CURRENT.pack_into(
            self._map,
            _CURRENT_AT,
            sequence,
            number,
            depth & 0xFF,
            since,
            step,
            micro_step,
            sequence,
        )

    def describe(
        self,
        detail: bytes = b"",
        *,
        tokens: int = _UNKNOWN,
        nbytes: int = _UNKNOWN,
        rows: int = _UNKNOWN,
        total: int = _UNKNOWN,
    ) -> None:
        """Detail and counters of the current phase."""
        self._counted = True
        _COUNTERS.pack_into(self._map, _COUNTERS_AT, tokens, nbytes, rows, total)
        if detail != self._detail:
            self._detail = detail
            self._map[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE] = detail[
                :_DETAIL_SIZE
            ].ljust(_DETAIL_SIZE, b"\0")

    def _clear(self) -> None:
        self.describe()
        self._counted = False

    def tokens(self, count: int) -> None:
        """Progress inside the current phase: tokens so far."""
        self._counted = True
        _COUNTER.pack_into(self._map, _COUNTERS_AT, count)

    def bytes(self, count: int) -> None:
        """Progress inside the current phase: bytes so far."""
        self._counted = True
        _COUNTER.pack_into(self._map, _COUNTERS_AT + 8, count)

    def rows(self, count: int) -> None:
        """Progress inside the current phase: rows so far."""
        self._counted = True
        _COUNTER.pack_into(self._map, _COUNTERS_AT + 16, count)

    def memory(
        self,
        allocated: Optional[int],
        reserved: Optional[int],
        peak: Optional[int],
        rss: Optional[int],
    ) -> None:
        _MEMORY.pack_into(
            self._map,
            _MEMORY_AT,
            time.monotonic(),
            *(
                _UNKNOWN if value is None else value
                for value in (allocated, reserved, peak, rss)
            ),
        )

    def beat(self) -> None:
        _BEAT.pack_into(self._map, _BEAT_AT, time.monotonic())

    def error(self, message: str) -> None:
        data = message.encode("utf-8", "replace")[:_ERROR_SIZE]
        self._map[_ERROR_AT : _ERROR_AT + _ERROR_SIZE] = data.ljust(_ERROR_SIZE, b"\0")

    def close(self) -> None:
        self._map.close()


def read(data: bytes) -> Optional[Reading]:
    """
    What a flight record's bytes say, or None while they are being written or
    when they are not a flight record of this layout.
    """
    if len(data) < SIZE:
        return None
    magic, layout, pid, wall, mono = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or layout != LAYOUT:
        return None
    sequence, number, depth, since, step, micro, again = _CURRENT.unpack_from(
        data, _CURRENT_AT
    )
    if sequence != again or number >= len(PHASES):
        return None
    tokens, nbytes, rows, total = _COUNTERS.unpack_from(data, _COUNTERS_AT)
    when, allocated, reserved, peak, rss = _MEMORY.unpack_from(data, _MEMORY_AT)
    (beat,) = _BEAT.unpack_from(data, _BEAT_AT)
    return Reading(
        pid=pid,
        phase=PHASES[number],
        since=since,
        depth=depth,
        step=_known(step),
        micro_step=_known(micro),
        tokens=_known(tokens),
        bytes=_known(nbytes),
        rows=_known(rows),
        total=_known(total),
        detail=_string(data[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE]),
        beat=beat or None,
        memory_at=when or None,
        allocated=_known(allocated) if when else None,
        reserved=_known(reserved) if when else None,
        peak=_known(peak) if when else None,
        rss=_known(rss) if when else None,
        error=_string(data[_ERROR_AT : _ERROR_AT + _ERROR_SIZE]),
        wall_minus_mono=wall - mono,
    )


def history(data: bytes) -> List[Tuple[str, int, float]]:
    """The last phase changes, oldest first, as (phase, step, monotonic time)."""
    if len(data) < SIZE:
        return []
    (sequence,) = struct.unpack_from("<I", data, _CURRENT_AT)
    changes = []
    for offset in range(1, RING + 1):
        slot = (sequence + offset) % RING
        number, step, when = _RING_ENTRY.unpack_from(
            data, _RING_AT + slot * _RING_ENTRY.size
        )
        if when and number < len(PHASES):
            changes.append((PHASES[number], step, when))
    return changes


def _known(value: int) -> Optional[int]:
    return None if value < 0 else value


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")
