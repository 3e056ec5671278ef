"""
Memory as the system tells it from outside: pressure, groups, footprint, cards.

Each reader returns None where this machine has no such thing; `why_not` says so in
words. Nothing here waits, and no device context is made: NVML asks the driver.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PRESSURE = Path("/proc/pressure/memory")
RUSAGE_V0 = 0
FOOTPRINT_AT = 16 + 7 * 8
"""Of `ri_phys_footprint` in macOS's `rusage_info_v0`: a uuid and seven numbers of
eight bytes stand before it."""
RUSAGE_BYTES = 512


def pressure(path: Path = PRESSURE) -> dict[str, float] | None:
    """
    Percent of the last 10 s in which `some` or all (`full`) of what could run waited
    for memory.
    """
    try:
        rows = path.read_text().splitlines()
    except OSError:
        return None
    found = {}
    for row in rows:
        kind, *pairs = row.split()
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name == "avg10":
                found[kind] = float(value)
    return found or None


def footprint(pids: Iterable[int], call: Callable[..., int] | None) -> int | None:
    """
    Bytes that macOS holds against these processes, Metal's among them: what jetsam
    compares. `call` is `proc_pid_rusage`.
    """
    if call is None:
        return None
    total = 0
    for pid in pids:
        buffer = ctypes.create_string_buffer(RUSAGE_BYTES)
        if call(pid, RUSAGE_V0, buffer) == 0:
            total += int.from_bytes(
                buffer.raw[FOOTPRINT_AT : FOOTPRINT_AT + 8], sys.byteorder
            )
    return total or None


def footprint_call() -> Callable[..., int] | None:
    """`proc_pid_rusage` of macOS; None elsewhere."""
    if sys.platform != "darwin":
        return None
    call: Callable[..., int] = ctypes.CDLL("libproc.dylib").proc_pid_rusage
    return call


def busy(nvml: Any, handle: Any) -> int:
    """Percent of the last moment (1/6 to 1 s) in which a kernel ran."""
    return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)


def watts(nvml: Any, handle: Any) -> int:
    milliwatts: int = nvml.nvmlDeviceGetPowerUsage(handle)
    return round(milliwatts / 1000)


class Cards:
    """
    Each NVIDIA card's bytes, and how busy it is, by NVML, where `pynvml` is
    installed.

    Not run on hardware: tested with a module that stands in for it.
    """

    def __init__(self, load: Callable[[str], Any] = importlib.import_module) -> None:
        self.why_not = ""
        self._nvml: Any = None
        try:
            self._nvml = load("pynvml")
            self._nvml.nvmlInit()
        except ImportError:
            self._nvml, self.why_not = None, "pynvml is not installed"
        except Exception as error:  # NVMLError is the module's own class.
            self._nvml, self.why_not = None, f"NVML: {error}"

    def read(self) -> dict[str, int]:
        """
        `0 used` and `0 total` in bytes, `0 busy` in percent, `0 watts`, `1 used`, ...;
        empty where nothing can be read. Not every card tells the last two.
        """
        found: dict[str, int] = {}
        if self._nvml is None:
            return found
        try:
            for number in range(self._nvml.nvmlDeviceGetCount()):
                handle = self._nvml.nvmlDeviceGetHandleByIndex(number)
                memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
                found[f"{number} used"] = int(memory.used)
                found[f"{number} total"] = int(memory.total)
                found |= self._load(number, handle)
        except Exception as error:
            self._nvml, self.why_not = None, f"NVML: {error}"
        return found

    def _load(self, number: int, handle: Any) -> dict[str, int]:
        found = {}
        for ask in (busy, watts):
            try:
                found[f"{number} {ask.__name__}"] = ask(self._nvml, handle)
            except Exception as error:
                self.why_not = f"NVML tells no {ask.__name__}: {error}"
        return found


def why_not(
    host_pressure: object, group_pressure: object, held: object, cards: Cards
) -> dict[str, str]:
    """What could not be read on this machine, and why."""
    said = {}
    if host_pressure is None:
        said["pressure"] = f"no {PRESSURE}"
    if group_pressure is None:
        said["pressure of the group"] = "no cgroup of version 2 with a limit"
    if held is None and sys.platform != "darwin":
        said["footprint"] = "only on macOS"
    if cards.why_not:
        said["cards"] = cards.why_not
    return said
