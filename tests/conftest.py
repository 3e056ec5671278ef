"""Every test has a home of its own: no test sees another's runs, or yours."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.runs import Trainwatch

SHARED = ("examples", "odd")
"""Fixtures whose runs are shared: tests that ask for one stay in one process."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in SHARED:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`$TRAINWATCH_HOME`, short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="twt-"))
    monkeypatch.setenv("TRAINWATCH_HOME", str(folder))
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def trainwatch(home: Path, tmp_path: Path) -> Iterator[Trainwatch]:
    yield Trainwatch(home, tmp_path)
    for process in psutil.process_iter(["environ", "cmdline"]):
        # Nothing a test started may outlive it, whatever the test did.
        words = process.info["cmdline"] or []
        environment = process.info["environ"] or {}
        mine = environment.get("TRAINWATCH_HOME") == str(home)
        if mine and process.pid != os.getpid() and words:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
