"""
The process that simulates: started, asked one plan at a time, and ended.

It may run in another Python than ours: it needs torch, we do not.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import trainwatch
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.bill import Peak, highest
from trainwatch.runner.fit.plan import Plan, to_json
from trainwatch.runner.fit.trace import Trace, read

TIMEOUT_S = 600.0
ASK_S = 60.0
SIMULATION = "simulation"

_MISSING = """
import importlib.util, sys
print(sys.version_info[:2] >= (3, 10),
      *[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
"""
_START = """
import runpy, sys, types
package = types.ModuleType("trainwatch")
package.__path__ = [sys.argv.pop(1)]
sys.modules["trainwatch"] = package
runpy.run_module("trainwatch.runner.fit.simulate", run_name="__main__")
"""
"""Our modules are found in our own folder, and nothing else that is beside them."""


@dataclass(frozen=True)
class Simulation:
    """
    What came of a plan. Where it could not be simulated, `method` is `formula` and
    `reason` says which operator; then there is no trace. `targets` are the modules that
    have an adapter.
    """

    plan: Plan
    method: str
    reason: str | None
    peaks: tuple[Peak, ...]
    parameters: int
    trainable: int
    targets: tuple[str, ...]
    seconds: float
    rss: int
    versions: Mapping[str, str]
    trace: Trace | None = None

    @property
    def peak(self) -> Peak:
        return highest(list(self.peaks))


def packages(plan: Plan) -> list[str]:
    """
    What the simulation of this plan imports.
    """
    more = [("peft", plan.method == "lora"), ("trl", plan.trainer == "trl")]
    return ["torch", "transformers", "accelerate", *[n for n, wanted in more if wanted]]


def find_python(given: str | None, wanted: list[str]) -> str:
    """
    A Python that has the packages: `given`, else ours, else the first on PATH.

    Raises:
        RefusedError: there is none; says what is missing where.
    """
    if given is not None:
        found = shutil.which(os.path.expanduser(given))
        if found is None:
            raise RefusedError(f"{given} is not a program")
        candidates = [found]
    else:
        others = [shutil.which(name) for name in ("python", "python3")]
        candidates = [sys.executable, *[path for path in others if path]]
    problems = []
    for python in dict.fromkeys(candidates):
        problem = _problem(python, wanted)
        if problem is None:
            return python
        problems.append(f"{python} {problem}")
    other = "" if given else "; another Python: --python PATH"
    raise RefusedError(f"the simulation cannot run: {'; '.join(problems)}{other}")


def _problem(python: str, wanted: list[str]) -> str | None:
    try:
        ended = subprocess.run(
            [python, "-c", _MISSING, *wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    new_enough, *missing = ended.stdout.split() or [""]
    if new_enough not in ("True", "False"):
        return "does not answer as a Python does"
    if missing:
        return f"has no {', '.join(missing)}"
    return None if new_enough == "True" else "is older than Python 3.10"


class Simulator:
    """
    A context manager around the process. One that dies takes only its plan along:
    the next plan starts another.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="trainwatch-fit-")

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._folder.cleanup()

    def simulate(self, plan: Plan, with_trace: bool = False) -> Simulation:
        """
        Raises:
            RefusedError: the model or the stack does not have what the plan asks for,
                or the process died.
        """
        process = self._process or self._start()
        file = os.path.join(self._folder.name, "trace.json") if with_trace else None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"plan": to_json(plan), "trace": file}))
            process.stdin.write("\n")
            process.stdin.flush()
        except OSError:
            raise RefusedError(self._death()) from None
        answer = self._answer(process)
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        trace = answer.pop("trace")
        return Simulation(
            plan,
            peaks=tuple(Peak(**peak) for peak in answer.pop("peaks")),
            targets=tuple(answer.pop("targets")),
            **answer,
            trace=read(Path(trace)) if trace else None,
        )

    def _start(self) -> subprocess.Popen[str]:
        ours = str(Path(trainwatch.__file__).resolve().parent)
        with open(os.path.join(self._folder.name, "said"), "w") as said:
            self._process = subprocess.Popen(
                [self._python, "-c", _START, ours],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
            )
        return self._process

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(TIMEOUT_S):
                self._end()
                raise RefusedError(f"the simulation took more than {TIMEOUT_S:g} s")
        line = process.stdout.readline()
        if not line:
            raise RefusedError(self._death())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self) -> str:
        """
        How the process ended, with its last words.
        """
        code = self._end()
        with open(os.path.join(self._folder.name, "said"), errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
        last = f": {lines[-1][:200]}" if lines else ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the simulation died ({how}){last}"

    def _end(self) -> int:
        """
        Its exit code; it is killed if it does not leave by itself.
        """
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.close()
        except OSError:
            pass
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        return process.returncode
