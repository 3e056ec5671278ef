"""
A simulated training's allocations, replayed through a model of a device's allocator.

Two levels, as xMem has them (arXiv 2510.21048): the simulation knows the tensors, the
model of the allocator knows what the device must hold for them: rounding, segments
that cannot be given back, free blocks too small for what comes next. The models
follow torch's sources; they were not run against hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from trainwatch.runner.fit.trace import Trace

NOT_RUN = "a model of the allocator, not run on hardware"


class Full(Exception):
    """The device has no room for the next block, also after its cache was freed."""


class Allocator(Protocol):
    """
    What a replay asks of a model. `held` are bytes of live blocks as the allocator
    counts them, `reserved` the bytes that it has taken from the device, `flushes` how
    often it gave its cache back to go on.
    """

    held: int
    reserved: int
    flushes: int

    def allocate(self, storage: int, size: int) -> None:
        """
        Raises:
            Full: there is no room.
        """

    def free(self, storage: int) -> None: ...


@dataclass(frozen=True)
class Replay:
    """What the device held, in bytes. Both peaks stop where it was full."""

    held_peak: int = 0
    reserved_peak: int = 0
    reserved_in: str = ""
    """The phase in which the reserved peak was reached."""
    held_at_reserved_peak: int = 0
    flushes: int = 0
    """How often the cache had to be given back: each one costs time."""
    full_in: str | None = None
    """The phase in which there was no room; None where all fitted."""
    full_request: int | None = None
    method: str = NOT_RUN

    @property
    def fragmentation(self) -> float:
        """The share of the reserved peak that held no live block then."""
        if not self.reserved_peak:
            return 0.0
        return 1 - self.held_at_reserved_peak / self.reserved_peak


def replay(trace: Trace, allocator: Allocator) -> Replay:
    """Every move of `trace` in order, until the end or until there is no room."""
    borders = iter([*trace.borders, ("", len(trace) + 1)])
    phase, (coming, border) = "setup", next(borders)
    held_peak = reserved_peak = held_then = 0
    reserved_in = ""
    full_in = full_request = None
    for index, number in enumerate(trace.signed):
        while index >= border:
            phase = coming
            coming, border = next(borders)
        storage = abs(number) - 1
        if number < 0:
            allocator.free(storage)
            continue
        try:
            allocator.allocate(storage, trace.sizes[storage])
        except Full:
            full_in, full_request = phase, trace.sizes[storage]
            break
        held_peak = max(held_peak, allocator.held)
        if allocator.reserved > reserved_peak:
            reserved_peak, reserved_in = allocator.reserved, phase
            held_then = allocator.held
        elif allocator.reserved == reserved_peak:
            held_then = max(held_then, allocator.held)
    return Replay(
        held_peak,
        reserved_peak,
        reserved_in,
        held_then,
        allocator.flushes,
        full_in,
        full_request,
    )
