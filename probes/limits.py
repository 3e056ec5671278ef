"""
The limits that memory meets, as lines: each with what counts against it now.

`Reading` is what was read of one process and its device; `lines` is pure. The
readings of a device come from `memory.py`, those of the host from here.
"""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

CGROUPS = "/sys/fs/cgroup"
NONE = 1 << 60
"""A limit from here on is none: cgroup v1 writes a number where there is none."""
FOR_THE_SYSTEM = 3_000_000_000
"""What macOS and its programs are taken to need, where nobody measured it."""
DEFAULT_HIGH, DEFAULT_LOW = 1.7, 1.4
"""torch's ratios of the recommended working set on MPS (2.13 and before)."""
HIGH_RATIO = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"
LOW_RATIO = "PYTORCH_MPS_LOW_WATERMARK_RATIO"

ADDRESS_SPACE = "RLIMIT_AS"
CGROUP = "cgroup"
RAM = "RAM"
RAM_LESS = "RAM less 3 GB"
WORKING_SET = "recommended working set"
HIGH = "torch's high watermark"
LOW = "torch's low watermark"
FRACTION = "torch's fraction"
CARD = "card"


@dataclass
class Reading:
    """Bytes of one process, its device and its host; None is not measured."""

    device: str = "cpu"
    allocated: Optional[int] = None
    reserved: Optional[int] = None
    """By the caching allocator, or by the driver for this process on MPS."""
    peak: Optional[int] = None
    rss: Optional[int] = None
    mapped: Optional[int] = None
    """Address space of this process, which RLIMIT_AS limits."""
    address_limit: Optional[int] = None
    cgroup_limit: Optional[int] = None
    cgroup_held: Optional[int] = None
    """Held by its group, without files that can be read again."""
    ram: Optional[int] = None
    ram_available: Optional[int] = None
    card: Optional[int] = None
    card_free: Optional[int] = None
    """As the driver says it, so after what other processes hold."""
    fraction: Optional[float] = None
    recommended: Optional[int] = None
    high_ratio: Optional[float] = None
    """0 is no limit."""
    low_ratio: Optional[float] = None


@dataclass(frozen=True)
class Line:
    """One limit, and what counts against it."""

    name: str
    bytes: int
    held: Optional[int] = None
    hard: bool = True
    """Past it an allocation fails or the process is killed; else it swaps or
    collects."""

    @property
    def left(self) -> Optional[int]:
        return None if self.held is None else self.bytes - self.held


def lines(read: Reading) -> List[Line]:
    """Every limit that is known of the device that training runs on."""
    if read.device.startswith("cuda"):
        return _card(read)
    if read.device.startswith("mps"):
        return _unified(read)
    return _host(read)


def _card(read: Reading) -> List[Line]:
    found: List[Line] = []
    if read.card is None:
        return found
    if read.fraction is not None and read.fraction < 1:
        found.append(Line(FRACTION, int(read.card * read.fraction), read.allocated))
    held = read.allocated
    if read.card_free is not None:
        # What torch caches it can give to the next allocation.
        cached = (read.reserved or 0) - (read.allocated or 0)
        held = read.card - read.card_free - cached
    found.append(Line(CARD, read.card, held))
    return found


def _unified(read: Reading) -> List[Line]:
    found = []
    held = read.allocated
    if read.recommended is not None:
        found.append(Line(WORKING_SET, read.recommended, held, hard=False))
        if read.low_ratio:
            low = int(read.low_ratio * read.recommended)
            found.append(Line(LOW, low, held, hard=False))
        if read.high_ratio:
            found.append(Line(HIGH, int(read.high_ratio * read.recommended), held))
    if read.ram is not None:
        found.append(Line(RAM_LESS, read.ram - FOR_THE_SYSTEM, held, hard=False))
        found.append(Line(RAM, read.ram, held))
    return found


def _host(read: Reading) -> List[Line]:
    found = []
    if read.address_limit is not None:
        found.append(Line(ADDRESS_SPACE, read.address_limit, read.mapped))
    if read.cgroup_limit is not None:
        found.append(Line(CGROUP, read.cgroup_limit, read.cgroup_held))
    if read.ram is not None:
        held = None if read.ram_available is None else read.ram - read.ram_available
        found.append(Line(RAM, read.ram, held))
    return found


def budget(found: List[Line]) -> Optional[Line]:
    """
    The limit to plan with: the smallest, whatever is held now. A card is less what
    other processes hold, where that was read.
    """
    plain = [line for line in found if line.name != LOW]
    return min(plain, key=lambda line: line.bytes, default=None)


def nearest(found: List[Line]) -> Optional[Line]:
    """The limit that the next bytes meet first; None where nothing is known."""
    known = [line for line in found if line.left is not None and line.name != LOW]
    return min(known, key=lambda line: line.bytes - (line.held or 0), default=None)


def torch_limit(found: List[Line]) -> Optional[int]:
    """Where torch itself refuses to allocate."""
    for line in found:
        if line.name in (HIGH, FRACTION):
            return line.bytes
    return next((line.bytes for line in found if line.name == CARD), None)


# --- the host -----------------------------------------------------------------


def read_host(read: Reading) -> None:
    """Fill in what limits this process on its host."""
    read.ram, read.ram_available = ram(), available()
    read.address_limit = address_limit()
    read.mapped = mapped("VmSize")
    limited = cgroup_limit("self")
    if limited is not None:
        read.cgroup_limit = limited[0]
        read.cgroup_held = cgroup_held(limited[1])


def ram() -> Optional[int]:
    """Bytes of RAM in this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def address_limit() -> Optional[int]:
    """`ulimit -v`, in bytes; None without one."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY or soft >= NONE else int(soft)


def available() -> Optional[int]:
    """RAM that can be had without swapping, as Linux estimates it."""
    return _fields("/proc/meminfo").get("MemAvailable")


def mapped(name: str, pid: str = "self") -> Optional[int]:
    """`VmSize` or `VmPeak` of a process on Linux, in bytes."""
    return _fields("/proc/%s/status" % pid).get(name)


def _fields(path: str) -> Dict[str, int]:
    """Lines of `Name: 12 kB`, in bytes; empty where there is no such file."""
    found = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, rest = line.partition(":")
                words = rest.split()
                if len(words) == 2 and words[1] == "kB":
                    found[name] = 1024 * int(words[0])
    except OSError:
        return {}
    return found


def cgroup_limit(pid: Any, root: str = CGROUPS) -> Optional[Tuple[int, str]]:
    """
    The smallest memory limit of the cgroups above `pid`, versions 1 and 2, in
    bytes, and the folder that sets it; None without one. (A container's limit is
    often far below RAM.)
    """
    found = []
    for folder, name in _cgroups(pid, root):
        limit = _number(os.path.join(folder, name))
        if limit is not None and limit < NONE:
            found.append((limit, folder))
    return min(found, default=None)


def _cgroups(pid: Any, root: str) -> List[Tuple[str, str]]:
    """The folders of the memory groups of `pid` upwards, and their limit's file."""
    if sys.platform != "linux":
        return []
    try:
        with open("/proc/%s/cgroup" % pid, encoding="utf-8") as file:
            rows = file.read().splitlines()
    except OSError:
        return []
    found = []
    for row in rows:
        _, controllers, path = row.split(":", 2)
        if controllers == "":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = os.path.join(root, "memory"), "memory.limit_in_bytes"
        else:
            continue
        folder = os.path.normpath(os.path.join(base, path.lstrip("/")))
        while folder.startswith(base):
            found.append((folder, name))
            if folder == base:
                break
            folder = os.path.dirname(folder)
    return found


def cgroup_held(folder: str) -> Optional[int]:
    """Bytes of a group without the files that it could read again."""
    used = _number(os.path.join(folder, "memory.current"))
    if used is None:
        used = _number(os.path.join(folder, "memory.usage_in_bytes"))
    if used is None:
        return None
    files = 0
    try:
        with open(os.path.join(folder, "memory.stat"), encoding="ascii") as file:
            rows = dict(line.split()[:2] for line in file if len(line.split()) > 1)
    except OSError:
        rows = {}
    for kind in ("inactive_file", "active_file"):
        files += int(rows.get("total_" + kind, rows.get(kind, 0)))
    return max(0, used - files)


def _number(path: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


# --- MPS ----------------------------------------------------------------------


def watermarks(environment: Any) -> Tuple[float, float]:
    """The high and low ratio that torch takes from `environment`."""
    return (
        _ratio(environment.get(HIGH_RATIO), DEFAULT_HIGH),
        _ratio(environment.get(LOW_RATIO), DEFAULT_LOW),
    )


def _ratio(text: Optional[str], default: float) -> float:
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        return default
