"""
A device that a fit is judged for: its limits as lines, and whether a peak fits.

One line is never enough: on a Mac torch's own limit lies above physical RAM, so a run
swaps long before torch refuses.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30
TABLE = "from a table, not measured"
MEASURED = "of this machine"

MPS_SHARE, MPS_REST = 1.03, 0.7
CUDA_SHARE, CUDA_REST = 1.05, 0.6
CPU_SHARE, CPU_REST = 1.03, 0.5
"""Margins: a share of the peak for what the simulation does not see, and GiB that the
libraries hold (context, kernels, interpreter). Guesses, not calibrated on hardware."""

FITS, TIGHT, SWAP, DOES_NOT_FIT = "fits", "tight", "swap", "does_not_fit"


@dataclass(frozen=True)
class Line:
    """One limit: its name, bytes (None: there is none), and where it comes from."""

    name: str
    bytes: int | None
    source: str


@dataclass(frozen=True)
class Verdict:
    """
    Whether a peak fits: FITS, TIGHT (only without the margin), SWAP (it runs, but in
    swap) or DOES_NOT_FIT. `room` is what the peak leaves of `usable`, in bytes, below
    zero where it is over.
    """

    word: str
    room: int
    why: str


@dataclass(frozen=True)
class Device:
    """
    One device. Bytes; `usable` is the line that a peak has to stay below, `torch_limit`
    where torch refuses (None: it never does), `physical` the memory that is there.
    """

    name: str
    kind: str
    """`mps`, `cuda` or `cpu`."""
    usable: int
    torch_limit: int | None
    low_watermark: int | None
    physical: int
    lines: tuple[Line, ...]
    measured: bool = False
    problem: str = ""
    """Why it would not even start as the environment is."""

    @property
    def attention(self) -> str:
        """
        The path of scaled_dot_product_attention that saves for a backward: on MPS the
        fused one has no backward (pytorch#179294), so there it is `math`.
        """
        return "math" if self.kind == "mps" else "flash"

    @property
    def margin(self) -> str:
        """The margins that `verdict` adds, in words."""
        share, rest = _margins(self.kind)
        return f"{round(100 * (share - 1))} % + {rest} GiB, a guess"

    def verdict(self, peak: int) -> Verdict:
        """Whether a peak of `peak` bytes of tensors fits."""
        share, rest = _margins(self.kind)
        room = self.usable - peak
        if peak * share + rest * GIB <= self.usable:
            return Verdict(FITS, room, f"with a margin of {self.margin}")
        # A card holds the context beside the tensors; a Mac's working set does not.
        beside = 0 if self.kind == "mps" else int(rest * GIB)
        if peak + beside <= self.usable:
            return Verdict(TIGHT, room, f"only without the margin of {self.margin}")
        stops = self.torch_limit
        if self.kind == "mps" and peak <= self.physical:
            if stops is None or peak <= stops:
                return Verdict(
                    SWAP,
                    room,
                    "above the recommended working set: macOS swaps, nothing raises",
                )
            return Verdict(DOES_NOT_FIT, room, "torch refuses at its own limit")
        if self.kind == "mps":
            return Verdict(DOES_NOT_FIT, room, "more than this Mac's RAM")
        return Verdict(DOES_NOT_FIT, room, "more than it can use")


def _margins(kind: str) -> tuple[float, float]:
    return {
        "mps": (MPS_SHARE, MPS_REST),
        "cuda": (CUDA_SHARE, CUDA_REST),
        "cpu": (CPU_SHARE, CPU_REST),
    }[kind]


def short(size: int) -> str:
    """Memory as it is sold: 24 GiB is "24GB"."""
    return f"{size / GIB:.3g}GB"
