"""Starting and killing real runs. Everything polls with a deadline."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 40.0


class Trainwatch:
    """The command line of this environment, in the test's own home."""

    def __init__(self, home: Path, cwd: Path) -> None:
        self.home = home
        self.cwd = cwd

    def __call__(
        self, *words: str, timeout: float = DEADLINE_S, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "trainwatch", *words],
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
            **more,
        )

    def start(self, code: str, *options: str) -> Path:
        """A detached run of `python -c code`; its folder."""
        done = self("run", "--detach", *options, "--", sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr
        return self.home / "runs" / done.stdout.strip()

    def show(self, run: str = "last") -> dict[str, Any]:
        done = self("show", run, "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


def until(condition: Callable[[], Any], what: str, within: float = DEADLINE_S) -> Any:
    """What `condition` returned once it was true."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {within:g} s: {what}")


def facts(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return document


def supervised(folder: Path) -> dict[str, Any]:
    """The manifest once supervisor and keeper have put themselves down."""
    return until(
        lambda: (f := facts(folder)).get("supervisor_started") and f, "supervisor"
    )


def console(folder: Path) -> bytes:
    try:
        return (folder / "console.log").read_bytes()
    except FileNotFoundError:
        return b""


def over(folder: Path, within: float = DEADLINE_S) -> dict[str, Any]:
    return until(
        lambda: (f := facts(folder))["status"] not in ("starting", "running") and f,
        "the end of the run",
        within,
    )


def only_run(home: Path) -> Path:
    """The folder of the one run that has been started."""
    found = until(lambda: list((home / "runs").glob("*/run.json")), "the run")
    folder: Path = found[0].parent
    return folder
