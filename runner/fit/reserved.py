"""What a device's allocator would hold for a trace: its model, with its limits."""

from __future__ import annotations

from trainwatch.runner.fit.cuda_allocator import CudaAllocator
from trainwatch.runner.fit.device import CUDA_REST, GIB, Device
from trainwatch.runner.fit.mps_allocator import MpsAllocator
from trainwatch.runner.fit.replay import Replay, replay
from trainwatch.runner.fit.trace import Trace


def reserved(
    trace: Trace, device: Device, expandable: bool = False, limited: bool = True
) -> Replay | None:
    """
    What `device` would hold for `trace`; None on a CPU, whose allocator keeps nothing.

    Args:
        expandable: the run sets `expandable_segments:True` (CUDA).
        limited: with the device's limits, so that caches are given back when it is
            full; else as if there were room for everything.
    """
    if device.kind == "cuda":
        room = device.usable - int(CUDA_REST * GIB)
        return replay(trace, CudaAllocator(room if limited else None, expandable))
    if device.kind == "mps":
        if not limited:
            return replay(trace, MpsAllocator())
        return replay(trace, MpsAllocator(device.torch_limit, device.low_watermark))
    return None
