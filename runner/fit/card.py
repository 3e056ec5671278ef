"""NVIDIA cards: their memory, and what others hold of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from trainwatch.runner.fit.device import GIB, MEASURED, TABLE, Device, Line, short
from trainwatch.runner.fit.program import output

CARDS = ((8, 7.93), (16, 15.77), (24, 23.6), (32, 31.36), (40, 39.4), (80, 79.1))
"""Memory of a card as it is sold and as CUDA counts it, in GiB, from the "total
capacity" of out-of-memory messages. ECC takes more (a T4 of 16 has 14.7)."""


def card(size: int, others: int | None = None) -> Device:
    """
    Args:
        size: bytes as the card is sold; with `others`, as its driver counts them.
        others: bytes that other processes hold on the card of this machine.
    """
    if others is None:
        total, source = _as_cuda_counts(size), TABLE
        used = Line("other processes", None, "not known")
    else:
        total, source = size, MEASURED
        used = Line("other processes", others, MEASURED)
    usable = total - (others or 0)
    return Device(
        name=f"cuda:{short(size)}",
        kind="cuda",
        usable=usable,
        torch_limit=total,
        low_watermark=None,
        physical=total,
        lines=(Line("usable", usable, source), used),
        measured=others is not None,
    )


def _as_cuda_counts(size: int) -> int:
    for sold, counted in CARDS:
        if abs(size - sold * GIB) < GIB // 100:
            return int(counted * GIB)
    return int(size * 0.983)


def nvidia_card(run: Callable[..., str] | None = None) -> tuple[int, int] | None:
    """Bytes of the first NVIDIA card here, and what is in use on it; None: no card."""
    told = (run or output)(
        "nvidia-smi",
        "--query-gpu=memory.total,memory.used",
        "--format=csv,noheader,nounits",
    )
    numbers = re.match(r"(\d+), (\d+)$", told.partition("\n")[0].strip())
    if numbers is None:
        return None
    return int(numbers[1]) << 20, int(numbers[2]) << 20
