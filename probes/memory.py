"""
Memory of this process, sampled on the connection's thread.

It imports nothing, and a backend is asked only once it is in use, so that asking
never creates a device context.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any, Callable, Optional, Tuple

from . import limits
from .events import MemorySampled
from .guard import switch_off
from .limits import Reading
from .process import Process

SAMPLE_S = 0.5


def install(process: Process, module: Any) -> None:
    """Sample from now on."""
    process.memory = sampler = Sampler(process, module)
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
        self._host = Reading()
        """What limits the host, read once: it is not for training to wait for."""
        limits.read_host(self._host)
        self._environment = ratios(os.environ)
        """As it was when torch had been imported."""
        self.quiet_peak: Optional[int] = None
        """The peak when training had not begun yet."""

    def tick(self, now: float) -> None:
        if self._off or now < self._next:
            return
        self._next = now + SAMPLE_S
        try:
            self._sample()
        except Exception as error:
            self._off = True
            switch_off("memory", error)

    def look(self) -> Reading:
        """The device and its limits as they are, with counters only."""
        read = Reading()
        if in_use(self._torch, "cuda"):
            cuda(self._torch, read)
        elif "mps" in self._process.devices:
            mps(self._torch, read)
            read.high_ratio, read.low_ratio = limits.watermarks(self._environment)
            if read.allocated is not None:
                read.peak = max(read.peak or 0, self._peak or 0, read.allocated)
                self._peak = read.peak
        else:
            read.peak = self._resident.peak()
        read.rss, read.mapped = self._resident.now()
        read.ram = self._host.ram
        read.cgroup_limit = self._host.cgroup_limit
        read.address_limit = limits.address_limit()
        if read.allocated is None and read.address_limit is not None:
            read.reserved = read.mapped
        return read

    def look_closely(self) -> Reading:
        """The same, with what asks the driver and the system: not at every sample."""
        read = self.look()
        if read.device.startswith("cuda"):
            free(self._torch, read)
        elif not read.device.startswith("mps"):
            limits.read_host(read)
        return read

    def _sample(self) -> None:
        timeline = self._process.timeline
        if timeline is None:
            return
        read = self.look()
        if not timeline.training and not timeline.steps:
            self.quiet_peak = read.peak
        record = timeline.record
        if record is not None:
            record.memory(read.allocated, read.reserved, read.peak, read.rss)
        found = limits.lines(read)
        facts = (read.device, tuple((line.name, line.bytes) for line in found))
        if facts != self._told:
            self._told = facts
            self._process.emit(self._facts(read, found))

    def _facts(self, read: Reading, found: Any) -> MemorySampled:
        budget = limits.budget(found)
        unified = read.device.startswith("mps")
        late = unified and ratios(os.environ) != self._environment
        return MemorySampled(
            device=read.device,
            allocated=read.allocated,
            reserved=read.reserved,
            peak=read.peak,
            rss=read.rss,
            torch_limit=limits.torch_limit(found),
            physical=read.card if read.device.startswith("cuda") else read.ram,
            phase=self._process.where()[0],
            budget=None if budget is None else budget.bytes,
            budget_by="" if budget is None else budget.name,
            lines={line.name: line.bytes for line in found},
            high_ratio=read.high_ratio,
            low_ratio=read.low_ratio,
            ratios_set=dict(self._environment) if unified else {},
            ratios_late=late,
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

    def now(self) -> Tuple[Optional[int], Optional[int]]:
        """Bytes in RAM and of address space now, or None where they are not known."""
        if self._file is None:
            return None, None
        mapped, held = os.pread(self._file, 128, 0).split()[:2]
        return int(held) * self._page, int(mapped) * self._page

    def peak(self) -> int:
        """The most bytes this process had. Linux counts in kB, macOS in bytes."""
        peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return peak if sys.platform == "darwin" else 1024 * peak


def in_use(torch: Any, backend: str) -> bool:
    module = getattr(torch, backend, None)
    initialized: Optional[Callable[[], bool]] = getattr(module, "is_initialized", None)
    return initialized is not None and bool(initialized())


def cuda(torch: Any, read: Reading) -> None:
    """
    What the allocator holds on a card of `torch.cuda` (also ROCm), and its bytes.

    Only counters of the allocator and the device's properties: no
    synchronization, and no call of the driver.
    """
    device = torch.cuda.current_device()
    read.device = "cuda:%d" % device
    read.allocated = int(torch.cuda.memory_allocated(device))
    read.reserved = int(torch.cuda.memory_reserved(device))
    read.peak = int(torch.cuda.max_memory_allocated(device))
    read.card = int(torch.cuda.get_device_properties(device).total_memory)
    fraction = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    read.fraction = float(fraction(device)) if fraction is not None else 1.0


def free(torch: Any, read: Reading) -> None:
    """What the driver says is free on the card, after all processes."""
    capturing = getattr(torch.cuda, "is_current_stream_capturing", None)
    if capturing is not None and capturing():
        return  # A graph is being captured: the driver must not be asked.
    read.card_free = int(torch.cuda.mem_get_info(torch.cuda.current_device())[0])


def mps(torch: Any, read: Reading) -> None:
    """What the allocator and the driver hold, and the recommended working set."""
    read.device = "mps"
    read.allocated = int(torch.mps.current_allocated_memory())
    read.reserved = int(torch.mps.driver_allocated_memory())
    accelerator = getattr(torch, "accelerator", None)
    measure = getattr(accelerator, "max_memory_allocated", None)
    if measure is not None:
        try:
            read.peak = int(measure()) or None
        except (RuntimeError, NotImplementedError):
            read.peak = None
    recommended = getattr(torch.mps, "recommended_max_memory", None)
    if recommended is not None:
        read.recommended = int(recommended())


def ratios(environment: Any) -> Any:
    """The watermark ratios that `environment` sets."""
    names = (limits.HIGH_RATIO, limits.LOW_RATIO)
    return {name: environment[name] for name in names if name in environment}
