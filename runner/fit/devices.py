"""
The devices that a fit is judged for, with their limits as lines.

What this machine tells is measured; another machine's limits come from a table and say
so. One line is never enough: on a Mac torch's own limit lies above physical RAM, so a
run swaps long before torch refuses.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

from trainwatch.runner.errors import UsageError
from trainwatch.runner.host import memory_limit
from trainwatch.runner.watermark import Watermarks, watermarks

GIB = 1 << 30
TABLE = "from a table, not measured"
MEASURED = "of this machine"

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
CARDS = ((8, 7.93), (16, 15.77), (24, 23.6), (32, 31.36), (40, 39.4), (80, 79.1))
"""Memory of a card as it is sold and as CUDA counts it, in GiB, from the "total
capacity" of out-of-memory messages. ECC takes more (a T4 of 16 has 14.7)."""

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


# --- from the command line ---------------------------------------------------

_SPEC = re.compile(r"(mps|cuda|cpu)(?::(\d+(?:\.\d+)?) ?([gmt])(?:i?b)?)?", re.I)
_UNITS = {"m": 1 << 20, "g": GIB, "t": 1 << 40}
EXAMPLES = "mps:36GB, cuda:24GB, cpu, cpu:16GB or auto"


def parse(text: str, environ: Mapping[str, str] = os.environ) -> Device:
    """
    The device that `text` names: `mps:36GB`, `cuda:24GB` (memory as it is sold, in
    units of 1024), `cpu:16GB`; `mps`, `cuda` and `cpu` are this machine's, `auto` the
    best one here.

    Raises:
        UsageError: it names none, or one that this machine does not have.
    """
    if text == "auto":
        return here(environ)
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a device: {text[:60]!r}; say {EXAMPLES}")
    kind, number, unit = match[1].lower(), match[2], match[3]
    if number is None:
        return _this_machine(kind, environ)
    size = int(float(number) * _UNITS[unit.lower()])
    if not GIB // 4 <= size <= 1 << 50:
        raise UsageError(f"not a device's memory: {text!r}; say {EXAMPLES}")
    if kind == "mps":
        return mac(size, watermarks(environ))
    if kind == "cuda":
        return card(size)
    return host(f"cpu:{_short(size)}", [Line("RAM", size, "as asked")])


def here(environ: Mapping[str, str] = os.environ) -> Device:
    """The best device of this machine."""
    for kind in ("cuda", "mps"):
        try:
            return _this_machine(kind, environ)
        except UsageError:
            continue
    return _this_machine("cpu", environ)


def _this_machine(kind: str, environ: Mapping[str, str]) -> Device:
    if kind == "cuda":
        found = nvidia_card()
        if found is None:
            raise UsageError("there is no NVIDIA card here; say how large: cuda:24GB")
        total, others = found
        return card(total, others)
    if kind == "mps":
        if sys.platform != "darwin" or os.uname().machine != "arm64":
            raise UsageError("this is no Mac with an Apple GPU; say which: mps:36GB")
        ram = psutil.virtual_memory().total
        return mac(ram, watermarks(environ), wired_limit())
    return host("cpu", host_limits(), measured=True)


# --- Apple -------------------------------------------------------------------


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
        name=f"mps:{_short(ram)}",
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
    told = (run or _output)("sysctl", "-n", "iogpu.wired_limit_mb")
    return int(told) << 20 if told.strip().isdigit() and int(told) else None


# --- CUDA --------------------------------------------------------------------


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
        name=f"cuda:{_short(size)}",
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
    told = (run or _output)(
        "nvidia-smi",
        "--query-gpu=memory.total,memory.used",
        "--format=csv,noheader,nounits",
    )
    numbers = re.match(r"(\d+), (\d+)$", told.partition("\n")[0].strip())
    if numbers is None:
        return None
    return int(numbers[1]) << 20, int(numbers[2]) << 20


# --- the host ----------------------------------------------------------------


def host(name: str, lines: list[Line], measured: bool = False) -> Device:
    """RAM, where the smallest of `lines` is what counts."""
    limit = min(line.bytes for line in lines if line.bytes is not None)
    return Device(
        name=name,
        kind="cpu",
        usable=limit,
        torch_limit=None,
        low_watermark=None,
        physical=limit,
        lines=tuple(lines),
        measured=measured,
    )


def host_limits() -> list[Line]:
    """RAM, the smallest limit of a cgroup, and RLIMIT_AS, of those that there are."""
    lines = [Line("RAM", psutil.virtual_memory().total, MEASURED)]
    if (group := memory_limit(os.getpid())) is not None:
        lines.append(Line("cgroup limit", group, MEASURED))
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        counts = "RLIMIT_AS: addresses, of which there are more than bytes in RAM"
        lines.append(Line("address space", addresses, counts))
    return lines


def _short(size: int) -> str:
    return f"{size / GIB:.3g}GB"


def _output(*command: str) -> str:
    """What `command` prints; "" where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""
