"""
What a message says of an allocation that was refused, as numbers.

Texts: pytorch `c10/cuda/CUDACachingAllocator.cpp` (to 2.0; 2.1 with "capacty"; from
2.2; with PYTORCH_ALLOC_CONF; the shared `c10/core/CachingDeviceAllocator.h` without a
name in front), `c10/xpu/XPUCachingAllocator.cpp`, `aten/src/ATen/mps/MPSAllocator.mm`,
`c10/core/impl/alloc_cpu.cpp`, numpy's `_ArrayMemoryError`. Sizes are in units of 1024,
also where older versions print GB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

ABSURD = 1 << 50
"""A size of which torch printed a negative number as unsigned ("17179869184 GiB")."""


@dataclass(frozen=True)
class Refusal:
    """
    Bytes, each None where the message does not say it.

    On MPS `reserved` is what torch calls "MPS allocated": its heaps, cache included.
    """

    backend: str = ""
    """`CUDA`, `HIP`, `XPU`, `MPS`, `CPU`, `Metal`; "" where it is not named."""
    requested: int | None = None
    allocated: int | None = None
    """Live tensors."""
    reserved: int | None = None
    """Taken from the device by torch, live or not."""
    free: int | None = None
    """Free on the device."""
    total: int | None = None
    """The device's memory."""
    limit: int | None = None
    """Where torch itself stops: a fraction, or the high watermark."""
    in_use: int | None = None
    """By this process, outside torch too."""
    other: int | None = None
    """Held on the device but not by torch's allocator."""

    @property
    def ceiling(self) -> int | None:
        """The limit that was met."""
        return self.limit if self.limit is not None else self.total

    @property
    def needed(self) -> int | None:
        """
        At least so much had to be there: what was held, and what was asked for. What
        would have come after is not in it.
        """
        if self.requested is None:
            return None
        if self.limit is not None and self.reserved is not None:
            return self.reserved + (self.other or 0) + self.requested
        if self.total is not None and self.free is not None:
            return self.total - self.free + self.requested
        if self.reserved is not None:
            return self.reserved + (self.other or 0) + self.requested
        return None


_SIZE = r"(?P<{}>[\d.]{{1,20}}) ?(?P<{}_unit>bytes|[KMGTPE]i?B|B)"


def _size(name: str) -> str:
    return _SIZE.format(name, name)


_ASKED = re.compile(
    r"(?:\b(?P<backend>[A-Z]{2,6}) )?[Oo]ut of memory\. Tried to allocate "
    + _size("requested")
)
_PARTS = tuple(
    re.compile(pattern)
    for pattern in (
        # To 2.0: (GPU 0; 7.93 GiB total capacity; ... already allocated; ...)
        _size("total") + " total capacity",
        _size("allocated") + " already allocated",
        _size("free") + " free;",
        _size("free") + r" free(?: \(|\))",
        _size("reserved") + " reserved in total by PyTorch",
        _size("cached") + r" cached\)",
        # From 2.1, where the first was "capacty".
        "total capaci?ty of " + _size("total"),
        "of which " + _size("free") + " is free",
        "this process has " + _size("in_use") + " memory in use",
        _size("limit") + " allowed;",
        "Of the allocated memory " + _size("allocated") + " is allocated by PyTorch",
        "and " + _size("cached") + " is reserved by PyTorch but unallocated",
    )
)
_MPS = re.compile(
    r"MPS backend out of memory \(MPS allocated: "
    + _size("reserved")
    + "(?:, other allocations: "
    + _size("other")
    + ")?(?:, max allowed: "
    + _size("limit")
    + r")?\)(?:\. Tried to allocate "
    + _size("requested")
    + ")?"
)
_PLAIN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("MPS", re.compile("Invalid buffer size: " + _size("requested"))),
    ("Metal", re.compile("kIOGPUCommandBufferCallbackErrorOutOfMemory")),
    (
        "CPU",
        re.compile(
            r"DefaultCPUAllocator: [^:]{0,60}: you tried to allocate "
            + _size("requested")
        ),
    ),
    ("CPU", re.compile("Unable to allocate " + _size("requested") + " for an array")),
    ("CUDA", re.compile(r"CUDA(?: driver)? error: out of memory")),
    ("CUDA", re.compile("CU(?:BLAS|DNN|SPARSE)_STATUS_ALLOC_FAILED")),
    ("CUDA", re.compile("CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation")),
    ("HIP", re.compile("HIP error: out of memory|hipErrorOutOfMemory")),
    ("XPU", re.compile("UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY")),
    ("CPU", re.compile(r"^(?:[\w.]{1,80}\.)?_?(?:Array)?MemoryError\b", re.M)),
    ("CPU", re.compile(r"\[Errno 12\] Cannot allocate memory|std::bad_alloc")),
)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def refusal(text: str) -> Refusal | None:
    """The last refused allocation that `text` tells of, None where it tells of none."""
    asked = _last(_ASKED, text)
    mps = _last(_MPS, text)
    if asked is not None and (mps is None or mps.start() < asked.start()):
        said = text[asked.start() : asked.start() + 1500].partition("\n\n")[0]
        found = _numbers(asked)
        for part in _PARTS:
            match = part.search(said)
            if match is not None:
                found = {**_numbers(match), **found}
        cached, held = found.pop("cached", None), found.get("allocated")
        if cached is not None and held is not None:
            found["reserved"] = held + cached
        return _refusal(asked["backend"] or "", found)
    if mps is not None:
        return _refusal("MPS", _numbers(mps))
    for backend, pattern in _PLAIN:
        match = _last(pattern, text)
        if match is not None:
            return _refusal(backend, _numbers(match))
    return None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    return found


_NAMES = frozenset(f.name for f in fields(Refusal)) | {"cached"}


def _numbers(match: re.Match[str]) -> dict[str, int]:
    """The sizes of `match` in bytes, without those that cannot be."""
    found = {}
    for name, number in match.groupdict().items():
        if name not in _NAMES or name == "backend" or number is None:
            continue
        try:
            value = float(number)
        except ValueError:
            continue  # "1.2.3"
        size = round(value * 1024 ** _POWERS.get(match[f"{name}_unit"][0], 0))
        if size < ABSURD:
            found[name] = size
    return found


def _refusal(backend: str, numbers: dict[str, int]) -> Refusal:
    return Refusal(backend=backend, **numbers)
