"""Messages of refused allocations, as real runs printed them, read as numbers."""

from __future__ import annotations

import pytest

from trainwatch.runner.refusal import Refusal, refusal

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def gib(value: float) -> int:
    return round(value * GIB)


def mib(value: float) -> int:
    return round(value * MIB)


FRAGMENTS = (
    " If reserved but unallocated memory is large try setting "
    "{}=expandable_segments:True to avoid fragmentation.  See documentation for Memory "
    "Management  "
    "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
MESSAGES: dict[str, tuple[str, Refusal]] = {
    "CUDA, torch 1.0 to 1.4": (
        "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 10.91 "
        "GiB total capacity; 9.55 GiB already allocated; 16.31 MiB free; 410.50 MiB "
        "cached)",
        Refusal(
            "CUDA", mib(20), gib(9.55), gib(9.55) + mib(410.5), mib(16.31), gib(10.91)
        ),
    ),
    "CUDA, torch 1.5 to 2.0": (
        "RuntimeError: CUDA out of memory. Tried to allocate 36.00 MiB (GPU 0; 7.93 "
        "GiB total capacity; 130.35 MiB already allocated; 47.06 MiB free; 188.00 MiB "
        "reserved in total by PyTorch) If reserved memory is >> allocated memory try "
        "setting max_split_size_mb to avoid fragmentation.  See documentation for "
        "Memory Management and PYTORCH_CUDA_ALLOC_CONF",
        Refusal(
            "CUDA", mib(36), mib(130.35), mib(188), free=mib(47.06), total=gib(7.93)
        ),
    ),
    "CUDA, torch 2.1, capacty": (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.15 GiB. "
        "GPU 0 has a total capacty of 23.69 GiB of which 912.81 MiB is free. Process "
        "454738 has 22.79 GiB memory in use. Of the allocated memory 21.50 GiB is "
        "allocated by PyTorch, and 1001.89 MiB is reserved by PyTorch but unallocated. "
        "If reserved but unallocated memory is large try setting max_split_size_mb to "
        "avoid fragmentation.  See documentation for Memory Management and "
        "PYTORCH_CUDA_ALLOC_CONF",
        Refusal(
            "CUDA",
            gib(1.15),
            gib(21.5),
            gib(21.5) + mib(1001.89),
            mib(912.81),
            gib(23.69),
        ),
    ),
    "CUDA, torch 2.2 to 2.8": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 10.00 GiB. GPU "
        "0 has a total capacity of 39.56 GiB of which 6.80 GiB is free. Including "
        "non-PyTorch memory, this process has 36.61 GiB memory in use. Of the "
        "allocated memory 31.66 GiB is allocated by PyTorch, and 4.11 GiB is reserved "
        "by PyTorch but unallocated." + FRAGMENTS.format("PYTORCH_CUDA_ALLOC_CONF"),
        Refusal(
            "CUDA",
            gib(10),
            gib(31.66),
            gib(31.66) + gib(4.11),
            gib(6.8),
            gib(39.56),
            in_use=gib(36.61),
        ),
    ),
    "CUDA, newest, other processes and graphs": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.89 GiB. GPU 5 "
        "has a total capacity of 139.81 GiB of which 5.56 GiB is free. Process 2493055 "
        "has 12.02 GiB memory in use. Including non-PyTorch memory, this process has "
        "134.24 GiB memory in use. Of the allocated memory 114.70 GiB is allocated by "
        "PyTorch, with 532.00 MiB allocated in private pools (e.g., CUDA Graphs), and "
        "10.29 GiB is reserved by PyTorch but unallocated."
        + FRAGMENTS.format("PYTORCH_ALLOC_CONF"),
        Refusal(
            "CUDA",
            gib(9.89),
            gib(114.7),
            gib(114.7) + gib(10.29),
            gib(5.56),
            gib(139.81),
            in_use=gib(134.24),
        ),
    ),
    "CUDA, a fraction": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "
        "has a total capacity of 23.52 GiB of which 12.00 GiB is free. 10.00 GiB "
        "allowed; Of the allocated memory 8.50 GiB is allocated by PyTorch, and 0 "
        "bytes is reserved by PyTorch but unallocated.",
        Refusal("CUDA", gib(2), gib(8.5), gib(8.5), gib(12), gib(23.52), limit=gib(10)),
    ),
    "the shared allocator, no name": (
        "torch.OutOfMemoryError: Out of memory. Tried to allocate 624.00 MiB. GPU 0 "
        "has a total capacity of 23.52 GiB of which 73.75 MiB is free. Including "
        "non-PyTorch memory, this process has 17179869184.00 GiB memory in use. Of the "
        "allocated memory 21.44 GiB is allocated by PyTorch, and 1.54 GiB is reserved "
        "by PyTorch but unallocated." + FRAGMENTS.format("PYTORCH_ALLOC_CONF"),
        Refusal(
            "",
            mib(624),
            gib(21.44),
            gib(21.44) + gib(1.54),
            mib(73.75),
            gib(23.52),
        ),
    ),
    "HIP": (
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 978.00 MiB. GPU "
        "0 has a total capacity of 15.98 GiB of which 630.00 MiB is free. Of the "
        "allocated memory 0 bytes is allocated by PyTorch, and 0 bytes is reserved by "
        "PyTorch but unallocated." + FRAGMENTS.format("PYTORCH_HIP_ALLOC_CONF"),
        Refusal("HIP", mib(978), 0, 0, mib(630), gib(15.98)),
    ),
    "XPU": (
        "torch.OutOfMemoryError: XPU out of memory. Tried to allocate 20.00 MiB. GPU 0 "
        "has a total capacity of 11.93 GiB of which 5.62 MiB is free. Of the allocated "
        "memory 10.43 GiB is allocated by PyTorch, and 94.57 MiB is reserved by "
        "PyTorch but unallocated. Please use `empty_cache` to release all unoccupied "
        "cached memory.",
        Refusal(
            "XPU",
            mib(20),
            gib(10.43),
            gib(10.43) + mib(94.57),
            mib(5.62),
            gib(11.93),
        ),
    ),
    "MPS, GB, private pool": (
        "RuntimeError: MPS backend out of memory (MPS allocated: 33.48 GB, other "
        "allocations: 2.45 GB, max allowed: 36.27 GB). Tried to allocate 600.15 MB on "
        "private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit "
        "for memory allocations (may cause system failure).",
        Refusal(
            "MPS",
            mib(600.15),
            reserved=gib(33.48),
            limit=gib(36.27),
            other=gib(2.45),
        ),
    ),
    "MPS, GiB, shared pool": (
        "RuntimeError: MPS backend out of memory (MPS allocated: 18.50 GiB, other "
        "allocations: 448.00 KiB, max allowed: 18.72 GiB). Tried to allocate 512.00 "
        "MiB on shared pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper "
        "limit for memory allocations (may cause system failure).",
        Refusal("MPS", mib(512), reserved=gib(18.5), limit=gib(18.72), other=448 * KIB),
    ),
    "MPS without a watermark": (
        "RuntimeError: MPS backend out of memory (MPS allocated: 60.10 GiB, other "
        "allocations: 1.00 GiB). Tried to allocate 256 bytes on shared pool.",
        Refusal("MPS", 256, reserved=gib(60.1), other=GIB),
    ),
    "MPS, one buffer too large": (
        "RuntimeError: Invalid buffer size: 12.00 GiB",
        Refusal("MPS", gib(12)),
    ),
    "Metal, which nobody can catch": (
        "Error: command buffer exited with error status.\n\tThe Metal Performance "
        "Shaders operations encoded on it may not have completed.\n\tError: "
        "\n\t(null)\n\tInsufficient Memory "
        "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        Refusal("Metal"),
    ),
    "CPU": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. "
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 68719476736 "
        "bytes. Error code 12 (Cannot allocate memory)",
        Refusal("CPU", 64 * GIB),
    ),
    "CPU, Windows": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:72] data. DefaultCPUAllocator: "
        "not enough memory: you tried to allocate 2359296 bytes.",
        Refusal("CPU", 2359296),
    ),
    "numpy": (
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 59.6 GiB for an "
        "array with shape (8000000000,) and data type float64",
        Refusal("CPU", gib(59.6)),
    ),
    "Python": ("MemoryError", Refusal("CPU")),
    "CUDA, no numbers": ("RuntimeError: CUDA error: out of memory", Refusal("CUDA")),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_as_numbers(name: str) -> None:
    text, wanted = MESSAGES[name]
    assert refusal(text) == wanted
    assert refusal(f"Traceback (most recent call last):\n  x = y\n{text}\n") == wanted


@pytest.mark.parametrize(
    ("name", "needed", "ceiling"),
    [
        ("CUDA, torch 2.2 to 2.8", gib(39.56) - gib(6.8) + gib(10), gib(39.56)),
        ("CUDA, a fraction", gib(8.5) + gib(2), gib(10)),
        ("MPS, GB, private pool", gib(33.48) + gib(2.45) + mib(600.15), gib(36.27)),
        ("MPS without a watermark", gib(60.1) + GIB + 256, None),
        ("CPU", None, None),
        ("Python", None, None),
    ],
)
def test_what_was_needed_at_least(
    name: str, needed: int | None, ceiling: int | None
) -> None:
    told = MESSAGES[name][1]
    assert told.needed == needed
    assert told.ceiling == ceiling


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RuntimeError: shape mismatch",
        "the model ran out of memory slots",
        "Out of memory? no, 3 GiB are free",
        "a MemoryError is caught here",
    ],
)
def test_other_texts(text: str) -> None:
    assert refusal(text) is None


def test_the_last_of_several_counts() -> None:
    first, last = MESSAGES["HIP"][0], MESSAGES["CUDA, torch 2.2 to 2.8"][0]
    both = f"{first}\n\nDuring handling of the above exception:\n\n{last}"
    assert refusal(both) == MESSAGES["CUDA, torch 2.2 to 2.8"][1]


def test_numbers_that_are_none() -> None:
    text = "CUDA out of memory. Tried to allocate 1.2.3 GiB. GPU 0"
    assert refusal(text) == Refusal("CUDA")
