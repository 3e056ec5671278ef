"""Macs with an Apple GPU: the memory that they share, and where torch draws lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from trainwatch.runner.fit.device import GIB, TABLE, Device, Line, short
from trainwatch.runner.fit.program import output
from trainwatch.runner.watermark import Watermarks

WORKING_SETS = (
    (8, 5.33),
    (16, 11.84),
    (24, 17.76),
    (36, 28.08),
    (48, 37.44),
    (64, 51.84),
    (96, 80.64),
    (128, 107.52),
    (192, 161.3),
)
"""RAM of a Mac and its `recommendedMaxWorkingSetSize` in GiB: macOS 15 and 26, from
logs of llama.cpp; 96 and 192 by the ratio of 128. It depends on the macOS version and
`sudo sysctl iogpu.wired_limit_mb` changes it."""


def working_set(ram: int) -> int:
    """The recommended working set of a Mac with `ram` bytes, by the table."""
    gib = ram / GIB
    place = bisect_right([size for size, _ in WORKING_SETS], gib + 0.01) - 1
    size, usable = WORKING_SETS[max(0, place)]
    return int(ram * usable / size)


def mac(ram: int, ratios: Watermarks, wired: int | None = None) -> Device:
    """
    Args:
        ram: bytes of RAM.
        wired: `iogpu.wired_limit_mb` in bytes, where somebody set it here.
    """
    usable = wired or working_set(ram)
    source = "set by iogpu.wired_limit_mb" if wired else TABLE
    limit, low = ratios.limit(usable), ratios.relief(usable)
    above = " (above RAM: it swaps first)" if limit is not None and limit > ram else ""
    return Device(
        name=f"mps:{short(ram)}",
        kind="mps",
        usable=usable,
        torch_limit=limit,
        low_watermark=low,
        physical=ram,
        lines=(
            Line("recommended working set", usable, source),
            Line(
                "torch gives free memory back",
                low,
                f"low watermark {ratios.low:g} x the working set",
            ),
            Line(
                "torch refuses",
                limit,
                f"high watermark {ratios.high:g} x the working set{above}"
                if limit is not None
                else "the high watermark is 0: never",
            ),
            Line("physical RAM", ram, "of the machine"),
        ),
        problem=ratios.problem,
    )


def wired_limit(run: Callable[..., str] | None = None) -> int | None:
    """`iogpu.wired_limit_mb` of this Mac in bytes; None where nobody set it."""
    told = (run or output)("sysctl", "-n", "iogpu.wired_limit_mb")
    return int(told) << 20 if told.strip().isdigit() and int(told) else None
