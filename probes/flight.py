"""
The flight record: what a process is doing, in a small file that outlives it.

The training process writes it through a memory map on every phase change, which
costs less than a microsecond and no system call; anyone may read the file, also
while the process is blocked in C and after SIGKILL. Times are the monotonic
clock.

Layout, little-endian, 4096 bytes: a header, the counters and the detail of one
phase change, memory, the last error, and a ring of phase changes. An entry of the
ring stands between two copies of its sequence number, so a reader knows one that
is half written; the newest whole entry is the current phase. Counters and detail
carry the number of the entry they belong to, so a change need not clear them.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from functools import partial
from typing import List, Optional, Tuple

from .events import PHASES

MAGIC = b"TWFLIGHT"
LAYOUT = 3
SIZE = 4096

_HEADER = struct.Struct("<8sHxxIdd")
"""magic, layout, pid, wall clock and monotonic clock at creation"""
_COUNTERS = struct.Struct("<Qqqqq")
"""sequence of the entry they belong to, tokens, bytes, rows, total"""
_COUNTERS_AT = 80
_DETAIL_AT, _DETAIL_SIZE = 128, 128
_MEMORY = struct.Struct("<dqqqq")
"""when, allocated, reserved, peak, rss"""
_MEMORY_AT = 256
_ERROR_AT, _ERROR_SIZE = 320, 256
_BEAT = struct.Struct("<d")
_BEAT_AT = 576
_COUNTER = struct.Struct("<q")
_ENTRY = struct.Struct("<QdiiBxxxI")
"""sequence, since, step, micro-step, phase, the low half of the sequence"""
LOW = 0xFFFFFFFF
ENTRY = _ENTRY.size
RING_AT = 640
RING = (SIZE - RING_AT) // ENTRY

NUMBER = {name: number for number, name in enumerate(PHASES)}
_UNKNOWN = -1


@dataclass(frozen=True)
class Reading:
    """One look at a flight record. Unmeasured numbers are None."""

    pid: int
    phase: str
    since: float
    step: Optional[int]
    micro_step: Optional[int]
    tokens: Optional[int]
    bytes: Optional[int]
    rows: Optional[int]
    total: Optional[int]
    detail: str
    beat: Optional[float]
    """When the interpreter last ran our thread."""
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
    connection's thread memory and beats.

    `pack(offset, sequence, since, step, micro-step, phase number, sequence & LOW)`
    writes one entry, for a caller that has no microsecond to spare; it counts
    `sequence` up itself and takes `RING_AT + sequence % RING * ENTRY`.

    Raises:
        OSError: the file cannot be created or mapped.
    """

    __slots__ = ("_detail", "_map", "_owner", "pack", "path", "sequence")

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
        self.pack = partial(_ENTRY.pack_into, self._map)
        self.sequence = 0
        self._owner = 0
        """The entry that the counters and the detail belong to."""
        self._detail = b""
        self.phase("start")
        _HEADER.pack_into(
            self._map, 0, MAGIC, LAYOUT, os.getpid(), time.time(), time.monotonic()
        )

    def phase(
        self,
        name: str,
        since: Optional[float] = None,
        step: int = _UNKNOWN,
        micro_step: int = _UNKNOWN,
    ) -> None:
        """
        Record that `name` is the current phase since `since` (monotonic), without
        counters and detail.
        """
        if since is None:
            since = time.monotonic()
        self.sequence = sequence = self.sequence + 1
        self.pack(
            RING_AT + sequence % RING * ENTRY,
            sequence,
            since,
            step,
            micro_step,
            NUMBER[name],
            sequence & LOW,
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
        if detail != self._detail:
            self._detail = detail
            self._map[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE] = detail[
                :_DETAIL_SIZE
            ].ljust(_DETAIL_SIZE, b"\0")
        self._owner = self.sequence
        _COUNTERS.pack_into(
            self._map, _COUNTERS_AT, self.sequence, tokens, nbytes, rows, total
        )

    def _count(self, position: int, count: int) -> None:
        if self._owner != self.sequence:
            self.describe()
        _COUNTER.pack_into(self._map, _COUNTERS_AT + 8 + 8 * position, count)

    def tokens(self, count: int) -> None:
        """Progress inside the current phase: tokens so far."""
        self._count(0, count)

    def bytes(self, count: int) -> None:
        """Progress inside the current phase: bytes so far."""
        self._count(1, count)

    def rows(self, count: int) -> None:
        """Progress inside the current phase: rows so far."""
        self._count(2, count)

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


Entry = Tuple[int, float, int, int, int]
"""sequence, since, step, micro-step, phase number"""


def read(data: bytes) -> Optional[Reading]:
    """
    What a flight record's bytes say, or None when they are not a flight record of
    this layout.
    """
    if len(data) < SIZE:
        return None
    magic, layout, pid, wall, mono = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or layout != LAYOUT:
        return None
    entries = _entries(data)
    if not entries:
        return None
    sequence, since, step, micro, number = entries[-1]
    owner, tokens, nbytes, rows, total = _COUNTERS.unpack_from(data, _COUNTERS_AT)
    described = owner == sequence
    if not described:
        tokens = nbytes = rows = total = _UNKNOWN
    when, allocated, reserved, peak, rss = _MEMORY.unpack_from(data, _MEMORY_AT)
    (beat,) = _BEAT.unpack_from(data, _BEAT_AT)
    detail = data[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE] if described else b""
    return Reading(
        pid=pid,
        phase=PHASES[number],
        since=since,
        step=_known(step),
        micro_step=_known(micro),
        tokens=_known(tokens),
        bytes=_known(nbytes),
        rows=_known(rows),
        total=_known(total),
        detail=_string(detail),
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
    return [
        (PHASES[number], step, since) for _, since, step, _, number in _entries(data)
    ]


def _entries(data: bytes) -> List[Entry]:
    """The whole entries of the ring, oldest first."""
    whole: List[Entry] = []
    for offset in range(RING_AT, RING_AT + RING * ENTRY, ENTRY):
        *entry, low = _ENTRY.unpack_from(data, offset)
        if entry[0] and entry[0] & LOW == low and entry[4] < len(PHASES):
            whole.append((entry[0], entry[1], entry[2], entry[3], entry[4]))
    return sorted(whole)


def _known(value: int) -> Optional[int]:
    return None if value < 0 else value


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")
