"""
An environment, read without importing what is installed in it, and this machine.

The packages of another Python are asked of that Python, in a subprocess that reads
their metadata and imports none of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from trainwatch.runner.document import SCHEMA
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.devices import here
from trainwatch.runner.home import home
from trainwatch.runner.host import memory_limit
from trainwatch.runner.triage.versions import (
    TOGETHER,
    WATCHED,
    Environment,
    Misfit,
    Package,
    misfits,
)
from trainwatch.runner.watermark import HIGH, LOW, Note, notes

ASK_S = 60.0
NVIDIA = Path("/proc/driver/nvidia/version")

_SCRIPT = """
import json, os, platform, re, sys
try:
    from importlib.metadata import distributions
except ImportError:
    sys.exit("Python 3.8 or later is needed, this is " + platform.python_version())
wanted, packages = set(sys.argv[1:]), {}
for found in distributions():
    name = found.metadata["Name"]
    if not name:
        continue
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in packages:
        packages[name]["others"].append(found.version or "")
        continue
    packages[name] = {"version": found.version or "", "others": []}
    if name in wanted:
        packages[name]["requires"] = list(found.requires or [])
        packages[name]["requires_python"] = found.metadata["Requires-Python"] or ""
number = platform.python_version()
markers = {
    "os_name": os.name,
    "sys_platform": sys.platform,
    "platform_machine": platform.machine(),
    "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(),
    "platform_system": platform.system(),
    "platform_version": platform.version(),
    "python_version": ".".join(number.split(".")[:2]),
    "python_full_version": number,
    "implementation_name": sys.implementation.name,
    "implementation_version": number,
}
print("\\n" + json.dumps({"python": number, "executable": sys.executable,
      "packages": packages, "markers": markers}))
"""


def find_python(given: str | None) -> str:
    """
    The Python to ask: `given`, or the one that `python` means here.

    Raises:
        RefusedError: there is none.
    """
    for name in [given] if given else ["python", "python3"]:
        found = shutil.which(os.path.expanduser(name))
        if found:
            return found
    raise RefusedError(
        f"{given} is not a program" if given else "there is no python on PATH: --python"
    )


def read_environment(python: str) -> Environment:
    """
    What is installed for `python`.

    Raises:
        RefusedError: it is no Python, too old a one, or does not answer.
    """
    try:
        ended = subprocess.run(
            [python, "-c", _SCRIPT, *WATCHED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_S,
            check=False,
        )
        told = json.loads(ended.stdout.strip().rpartition("\n")[2])
        return Environment(
            told["python"],
            told["executable"],
            {
                name: Package(
                    found["version"],
                    tuple(found.get("requires", ())),
                    found.get("requires_python", ""),
                    tuple(found["others"]),
                )
                for name, found in told["packages"].items()
            },
            told["markers"],
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{python} did not answer in {ASK_S:g} s") from None
    except OSError as error:
        raise RefusedError(f"{python} cannot be started: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        last = f": {said[-1][:200]}" if said else ""
        raise RefusedError(f"{python} does not answer as a Python does{last}") from None


def device_misfit(environment: Environment, nvidia: bool) -> Misfit | None:
    """A torch that cannot use the NVIDIA card of this machine."""
    torch = environment.version("torch")
    if not nvidia or torch is None or not torch.endswith("+cpu"):
        return None
    return Misfit(
        "torch-without-cuda",
        "attention",
        {"torch": torch},
        "This torch is built for the CPU alone, and there is an NVIDIA driver here.",
        "Install the torch build for your CUDA, see pytorch.org.",
        (f"version of torch: {torch}", str(NVIDIA)),
    )


def examine(python: str | None) -> dict[str, Any]:
    """
    The whole answer, as `trainwatch doctor --json` prints it.

    Raises:
        RefusedError: the Python cannot be asked.
    """
    environment = read_environment(find_python(python))
    device = device_misfit(environment, NVIDIA.exists())
    found = [*misfits(environment), *([device] if device else [])]
    return {
        "schema": SCHEMA,
        "python": {
            "executable": environment.executable,
            "version": environment.python,
        },
        "packages": {name: environment.version(name) for name in TOGETHER},
        "misfits": [
            {
                "id": misfit.id,
                "severity": misfit.severity,
                "kind": "incompatibility",
                "versions": dict(misfit.versions),
                "why": misfit.why,
                "do": misfit.do,
                "evidence": list(misfit.evidence),
            }
            for misfit in found
        ],
        "machine": _machine(),
        "memory": memory(os.environ, sys.platform),
    }


def memory(environ: Mapping[str, str], system: str) -> dict[str, Any]:
    """The limits of this machine's best device, and what its variables do."""
    device = here(environ)
    told = notes(environ)
    if system != "darwin":
        no = "no effect here, there is no Apple GPU"
        told = tuple(
            Note("harmless", f"{name}: {no}", "Nothing.")
            for name in (HIGH, LOW)
            if name in environ
        )
    return {
        "device": device.name,
        "limits": [
            {"name": line.name, "bytes": line.bytes, "source": line.source}
            for line in device.lines
        ],
        "notes": [
            {"severity": note.severity, "summary": note.summary, "do": note.do}
            for note in told
        ],
    }


def _machine() -> dict[str, Any]:
    folder = home()
    while not folder.exists():
        folder = folder.parent
    return {
        "cores": psutil.cpu_count(),
        "ram": psutil.virtual_memory().total,
        "ram_limit": memory_limit(os.getpid()),
        "disk_free": shutil.disk_usage(os.getcwd()).free,
        "home": str(home()),
        "home_disk_free": shutil.disk_usage(folder).free,
        "nvidia_driver": NVIDIA.exists(),
    }
