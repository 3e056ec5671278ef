"""
The flight record: what a process is doing, in a small file that outlives it.

The training process writes it through a memory map on every phase change, which
takes one store of eight bytes and no system call; anyone may read the file, also
while the process is blocked in C and after SIGKILL. Times are the monotonic
clock.

Layout, 4096 bytes, in the machine's own byte order: a header, the step, the
counters and the detail of one phase change, memory, the last error, and a ring of
phase changes. A change is one number: nanoseconds since the record was made, a bit
that says whether an outer phase runs again, and the phase. Eight bytes are stored at
once, so a reader never sees half a change, and the largest number is the newest.
Counters and detail carry the change they belong to, so the next one need not clear
them.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

from .events import PHASES

MAGIC = b"TWFLIGHT"
LAYOUT = 4
SIZE = 4096

_HEADER = struct.Struct("=8sHxxIdQ")
"""magic, layout, pid, wall clock and monotonic nanoseconds at creation"""
_STEP = struct.Struct("=qq")
"""steps done, micro-steps of this step"""
_STEP_AT = 40
_COUNTERS = struct.Struct("=Qdqqqq")
"""the change they belong to, since when it is shown, tokens, bytes, rows, total"""
_COUNTERS_AT = 64
_DETAIL_AT, _DETAIL_SIZE = 128, 128
_MEMORY = struct.Struct("=dqqqq")
"""when, allocated, reserved, peak, rss"""
_MEMORY_AT = 256
_ERROR_AT, _ERROR_SIZE = 320, 256
_BEAT = struct.Struct("=d")
_BEAT_AT = 576
_SAID = struct.Struct("=q")
_SAID_AT = 584
_COUNTER = struct.Struct("=q")
RING = 256
_RING_AT = SIZE - 8 * RING
SHIFT = 8
AGAIN = 128
"""This bit of a change: an outer phase runs again, it is not a new one."""
PHASE = 127
"""These bits of a change: the phase's number."""

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
    said: int = 0
    """The number of the last event that it wanted to tell; 0 for none."""


class Changes:
    """
    The ring of phase changes: who adds one counts `at` up and stores
    `clock() - zero << SHIFT | phase number` at `ring[at % RING]`.

    Args:
        ring: room for RING numbers of eight bytes.
        clock: monotonic nanoseconds.
    """

    __slots__ = ("at", "clock", "ring", "zero")

    def __init__(
        self, ring: memoryview, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.ring = ring
        self.clock = clock
        self.at = 0
        """The number of the newest change."""
        self.zero = clock() - 1
        """No change is 0."""

    def add(self, number: int) -> None:
        """Phase `number` runs from now on."""
        self.at = at = self.at + 1
        self.ring[at % RING] = self.clock() - self.zero << SHIFT | number


class FlightRecord(Changes):
    """
    The writing side. One per process; the training thread writes phases, the
    connection's thread memory and beats.

    Args:
        path: the file.
        clock: monotonic nanoseconds.

    Raises:
        OSError: the file cannot be created or mapped.
    """

    __slots__ = ("_belongs", "_detail", "_map", "path", "said", "steps")

    def __init__(self, path: str, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # Reserve the blocks now: writing to a hole of a full disk through
            # a memory map kills the process with SIGBUS.
            os.write(descriptor, b"\0" * SIZE)
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        view = memoryview(self._map)
        super().__init__(view[_RING_AT:].cast("Q"), clock)
        self.steps = view[_STEP_AT : _STEP_AT + _STEP.size].cast("q")
        """Steps done, and micro-steps of the next one."""
        self.said = view[_SAID_AT : _SAID_AT + _SAID.size].cast("q")
        """The number of the last event that was said."""
        self._belongs = 0
        """The change that the counters and the detail belong to."""
        self._detail = b""
        self.phase("start")
        self.step()
        _HEADER.pack_into(
            self._map, 0, MAGIC, LAYOUT, os.getpid(), time.time(), self.zero
        )

    def phase(self, name: str) -> None:
        """`name` is the current phase from now on."""
        self.add(NUMBER[name])

    def step(self, steps: int = _UNKNOWN, micro_steps: int = _UNKNOWN) -> None:
        """`steps` are done, and `micro_steps` of the next one."""
        self.steps[0], self.steps[1] = steps, micro_steps

    def describe(
        self,
        detail: bytes = b"",
        *,
        since: float = 0.0,
        tokens: int = _UNKNOWN,
        nbytes: int = _UNKNOWN,
        rows: int = _UNKNOWN,
        total: int = _UNKNOWN,
    ) -> None:
        """
        Detail and counters of the current phase, and since when it runs, where
        that is before it was recorded.
        """
        if detail != self._detail:
            self._detail = detail
            self._map[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE] = detail[
                :_DETAIL_SIZE
            ].ljust(_DETAIL_SIZE, b"\0")
        self._belongs = change = self.ring[self.at % RING]
        _COUNTERS.pack_into(
            self._map, _COUNTERS_AT, change, since, tokens, nbytes, rows, total
        )

    def _count(self, position: int, count: int) -> None:
        if self._belongs != self.ring[self.at % RING]:
            self.describe()
        _COUNTER.pack_into(self._map, _COUNTERS_AT + 16 + 8 * position, count)

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
        self.ring.release()
        self.steps.release()
        self.said.release()
        self._map.close()


def read(data: bytes) -> Optional[Reading]:
    """
    What a flight record's bytes say, or None when they are not a flight record of
    this layout.
    """
    if len(data) < SIZE:
        return None
    magic, layout, pid, wall, zero = _HEADER.unpack_from(data, 0)
    if magic != MAGIC or layout != LAYOUT:
        return None
    changes = _changes(data)
    if not changes:
        return None
    newest = changes[-1]
    step, micro = _STEP.unpack_from(data, _STEP_AT)
    change, since, tokens, nbytes, rows, total = _COUNTERS.unpack_from(
        data, _COUNTERS_AT
    )
    described = change == newest
    if not described:
        tokens = nbytes = rows = total = _UNKNOWN
    when, allocated, reserved, peak, rss = _MEMORY.unpack_from(data, _MEMORY_AT)
    (beat,) = _BEAT.unpack_from(data, _BEAT_AT)
    detail = data[_DETAIL_AT : _DETAIL_AT + _DETAIL_SIZE] if described else b""
    return Reading(
        pid=pid,
        phase=_name(newest),
        since=since if described and since else _when(newest, zero),
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
        said=_SAID.unpack_from(data, _SAID_AT)[0],
        wall_minus_mono=wall - zero / 1e9,
    )


def history(data: bytes) -> List[Tuple[str, float]]:
    """The last phase changes, oldest first, as (phase, monotonic time)."""
    if len(data) < SIZE:
        return []
    zero = _HEADER.unpack_from(data, 0)[-1]
    return [(_name(change), _when(change, zero)) for change in _changes(data)]


def _changes(data: bytes) -> List[int]:
    """The changes of the ring, oldest first."""
    return sorted(filter(None, struct.unpack_from("=%dQ" % RING, data, _RING_AT)))


def _name(change: int) -> str:
    """Numbers without a phase are those of the user's own names."""
    number = change & PHASE
    return PHASES[number] if number < len(PHASES) else "custom"


def _when(change: int, zero: int) -> float:
    """Monotonic seconds."""
    return ((change >> SHIFT) + zero) / 1e9


def _known(value: int) -> Optional[int]:
    return None if value < 0 else value


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")
