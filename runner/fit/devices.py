"""
The devices that people name, and this machine's.

What this machine tells is measured; another machine's limits come from a table and say
so.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Mapping

import psutil

from trainwatch.runner.errors import UsageError
from trainwatch.runner.fit.card import card, nvidia_card
from trainwatch.runner.fit.device import GIB, MEASURED, Device, Line, short
from trainwatch.runner.fit.mac import mac, wired_limit
from trainwatch.runner.host import memory_limit
from trainwatch.runner.watermark import watermarks

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
    return host(f"cpu:{short(size)}", [Line("RAM", size, "as asked")])


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
