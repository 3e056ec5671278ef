"""A run is called lost when nobody holds it, not when it is slow to start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trainwatch.runner import manifest, sockets, truth
from trainwatch.runner.launch import CONTROL_SOCKET


@pytest.fixture
def folder(home: Path) -> Path:
    """A run of a minute ago whose processes have not named themselves."""
    began = time.time() - 60
    manifest.write(home, manifest.Manifest(id="slow", name="slow", started=began))
    return home


def test_a_run_whose_socket_is_held_is_only_slow_to_start(folder: Path) -> None:
    with sockets.listen(folder, CONTROL_SOCKET):
        for _ in range(200):  # More than its queue takes.
            assert truth.supervised(folder)
        assert truth.correct(folder).status == "starting"


def test_a_run_whose_socket_nobody_holds_is_lost(folder: Path) -> None:
    sockets.listen(folder, CONTROL_SOCKET).close()
    assert not truth.supervised(folder)
    assert truth.correct(folder).status == "lost"
