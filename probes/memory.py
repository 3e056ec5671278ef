"""
Memory of this process, sampled on the connection's thread.

It imports nothing, and a backend is asked only once it is in use, so that asking
never creates a device context.
"""

from __future__ import annotations

import functools
import os
import resource
import sys
from typing import Any, Callable, Optional, Tuple

from .events import MemorySampled
from .guard import switch_off
from .process import Process

SAMPLE_S = 0.5
DEFAULT_HIGH_WATERMARK = 1.7
"""torch's ratio of the recommended working set that MPS may allocate."""

Held = Tuple[Optional[int], Optional[int], Optional[int]]
"""allocated, reserved, peak"""


def install(process: Process, module: Any) -> None:
    """Sample from now on."""
    sampler = Sampler(process, module)
    process.ticks.append(sampler.tick)


class Sampler:
    """The memory of one process, about every SAMPLE_S."""

    def __init__(self, process: Process, torch: Any) -> None:
        self._process = process
        self._torch = torch
        self._next = 0.0
        self._told: Tuple[Any, ...] = ()
        self._off = False
        self._peak: Optional[int] = None
        self._resident = Resident()

    def tick(self, now: float) -> None:
        if self._off or now < self._next:
            return
        self._next = now + SAMPLE_S
        try:
            self._sample()
        except Exception as error:
            self._off = True
            switch_off("memory", error)

    def _sample(self) -> None:
        timeline = self._process.timeline
        if timeline is None:
            return
        held_rss = self._resident.now()
        device, (allocated, reserved, peak) = "cpu", (None, None, None)
        limit = physical = None
        if in_use(self._torch, "cuda"):
            device, (allocated, reserved, peak), limit, physical = cuda(self._torch)
        elif "mps" in self._process.devices:
            device, (allocated, reserved, peak), limit = mps(self._torch)
            physical = ram()
            if allocated is not None:
                self._peak = peak = max(peak or 0, self._peak or 0, allocated)
        else:
            physical, peak = ram(), self._resident.peak()
        record = timeline.record
        if record is not None:
            record.memory(allocated, reserved, peak, held_rss)
        facts = (device, limit, physical)
        if facts != self._told:
            self._told = facts
            self._process.emit(
                MemorySampled(
                    device=device,
                    allocated=allocated,
                    reserved=reserved,
                    peak=peak,
                    rss=held_rss,
                    torch_limit=limit,
                    physical=physical,
                    phase=self._process.where()[0],
                )
            )


class Resident:
    """
    Resident bytes of this process.

    The file stays open and the peak comes from `getrusage`: each system call more
    on this thread is a chance that the training thread waits for the interpreter.
    """

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._file: Optional[int] = None
        try:
            self._file = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            self._file = None  # Not Linux: only the peak is known.

    def now(self) -> Optional[int]:
        """Bytes now, or None where only a peak is known."""
        if self._file is None:
            return None
        return int(os.pread(self._file, 128, 0).split()[1]) * self._page

    def peak(self) -> int:
        """The most bytes this process had. Linux counts in kB, macOS in bytes."""
        peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return peak if sys.platform == "darwin" else 1024 * peak


@functools.lru_cache(maxsize=1)
def ram() -> Optional[int]:
    """Bytes of RAM in this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def in_use(torch: Any, backend: str) -> bool:
    module = getattr(torch, backend, None)
    initialized: Optional[Callable[[], bool]] = getattr(module, "is_initialized", None)
    return initialized is not None and bool(initialized())


def cuda(torch: Any) -> Tuple[str, Held, Optional[int], Optional[int]]:
    """
    Device name, bytes held, the limit set for this process, the card's bytes.

    Only counters of the allocator and the device's properties: no
    synchronization, and no call of the driver.
    """
    device = torch.cuda.current_device()
    held = (
        int(torch.cuda.memory_allocated(device)),
        int(torch.cuda.memory_reserved(device)),
        int(torch.cuda.max_memory_allocated(device)),
    )
    physical = int(torch.cuda.get_device_properties(device).total_memory)
    fraction = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    share = float(fraction(device)) if fraction is not None else 1.0
    return "cuda:%d" % device, held, int(physical * share), physical


def mps(torch: Any) -> Tuple[str, Held, Optional[int]]:
    """Device name, bytes held (reserved is the driver's), torch's own limit."""
    allocated = int(torch.mps.current_allocated_memory())
    driver = int(torch.mps.driver_allocated_memory())
    peak: Optional[int] = None
    accelerator = getattr(torch, "accelerator", None)
    measure = getattr(accelerator, "max_memory_allocated", None)
    if measure is not None:
        try:
            peak = int(measure()) or None
        except (RuntimeError, NotImplementedError):
            peak = None
    return "mps", (allocated, driver, peak), mps_limit(torch)


def mps_limit(torch: Any) -> Optional[int]:
    """
    Where torch refuses to allocate on MPS: the high watermark ratio times the
    recommended working set. None when the ratio is 0, which is no limit.
    """
    recommended = getattr(torch.mps, "recommended_max_memory", None)
    if recommended is None:
        return None
    try:
        ratio = float(
            os.environ.get("PYTORCH_MPS_HIGH_WATERMARK_RATIO", DEFAULT_HIGH_WATERMARK)
        )
    except ValueError:
        ratio = DEFAULT_HIGH_WATERMARK
    return int(ratio * int(recommended())) if ratio > 0 else None
