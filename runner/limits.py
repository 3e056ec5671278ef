"""
The limits of memory as lines: our budget, torch's own limit, what is there.

Pure, from what the process and the host told. The watermark of MPS is a guardrail:
it says where torch refuses, and no run becomes smaller by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.state import Host, Memory
from trainwatch.runner.text import size

OWN_MEMORY = ("cuda", "xpu", "hip")
"""Devices whose memory is apart from the host's."""
HIGH, LOW = "PYTORCH_MPS_HIGH_WATERMARK_RATIO", "PYTORCH_MPS_LOW_WATERMARK_RATIO"
DEFAULT_LOW = 1.4


@dataclass(frozen=True)
class Limits:
    """What may be held, each None where it is not known, in bytes."""

    budget: tuple[int, str] | None = None
    """The limit to plan with, and its name."""
    torch: int | None = None
    """Where torch itself refuses to allocate."""
    physical: int | None = None
    """RAM, or the card."""

    @property
    def torch_above_physical(self) -> bool:
        """Torch would not refuse before the machine has to swap."""
        return (
            self.torch is not None
            and self.physical is not None
            and self.torch > self.physical
        )


def limits_of(memory: Memory, host: Host) -> Limits:
    """Of one process; the smallest line of all where it told no budget."""
    own = memory.device.startswith(OWN_MEMORY)
    physical = memory.physical
    if physical is None and not own:
        physical = host.ram_total
    if memory.budget is not None:
        budget = (memory.budget, memory.budget_by)
        return Limits(budget, memory.torch_limit, physical)
    lines = (
        (None if own else host.ram_limit or host.ram_total, "host limit"),
        (memory.torch_limit, "torch's limit"),
        (memory.physical, "physical"),
    )
    known = [(value, name) for value, name in lines if value is not None]
    return Limits(min(known, default=None), memory.torch_limit, physical)


def remarks(memory: Memory, host: Host) -> list[str]:
    """What has to be said about these lines: watermarks that do not protect."""
    limits = limits_of(memory, host)
    said = []
    if memory.device.startswith("mps"):
        if memory.high_ratio is not None and memory.high_ratio <= 0:
            said.append(
                f"{HIGH}=0: torch has no limit, so macOS swaps, then kills the process"
            )
        elif limits.torch_above_physical:
            said.append(
                f"torch's limit ({size(limits.torch)}) lies above RAM "
                f"({size(limits.physical)}): swapping comes first, not an error"
            )
        if _low_is_missing(memory):
            said.append(
                f"{HIGH} below {DEFAULT_LOW} needs {LOW} below it too: torch refuses "
                "to start otherwise"
            )
        if memory.ratios_set and not said:
            said.append(
                "the watermark ratio is a guardrail: it says where torch refuses and "
                "makes nothing smaller"
            )
        if memory.ratios_late:
            said.append(
                f"{HIGH} or {LOW} changed after torch was imported: that does nothing"
            )
    if memory.budget_by == "RLIMIT_AS":
        said.append(
            "RLIMIT_AS (ulimit -v) counts addresses, not RAM: files that are mapped "
            "count too"
        )
    return said


def _low_is_missing(memory: Memory) -> bool:
    high, low = memory.high_ratio, memory.low_ratio
    return high is not None and low is not None and 0 < high < low
