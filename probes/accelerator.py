"""
Which accelerator this process could use, without asking its driver.

`torch.cuda.is_available()` calls `cudaGetDeviceCount`, which initialises the driver:
a child that is forked afterwards cannot use CUDA (torch, "poison fork"). So only
files, the environment and how torch was built are looked at. What they show is
possible; whether the driver works is not known.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Mapping

HIDING = ("", "-1")
"""Values of `CUDA_VISIBLE_DEVICES` that hide every device."""


def present(torch: Any, devices: str = "/dev") -> str:
    """`cuda`, `mps`, or "" where none is seen; `devices` is the folder of devices."""
    version = getattr(torch, "version", None)
    if getattr(version, "cuda", None) and not _hidden(os.environ):
        return "cuda" if _has_card(devices) else ""
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        built = getattr(getattr(torch, "backends", None), "mps", None)
        if built is not None and built.is_built():
            return "mps"
    return ""


def _hidden(environment: Mapping[str, str]) -> bool:
    return environment.get("CUDA_VISIBLE_DEVICES", "all").strip() in HIDING


def _has_card(devices: str) -> bool:
    """A card's own file is there: `nvidia0`, not `nvidiactl` alone."""
    try:
        names = os.listdir(devices)
    except OSError:
        return False
    return any(name[:6] == "nvidia" and name[6:].isdigit() for name in names)
