"""Runs that memory ends for real: by the kernel, by a refusal; and one it did not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch

LIMIT = 150 << 20
EAT = """
import time
held = []
for _ in range(60):
    held.append(bytearray(b"x") * (10 << 20))
    time.sleep(0.02)
"""
REFUSED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
bytearray(8 << 30)
"""

# The kernel counts what it kills for the whole machine.
pytestmark = pytest.mark.xdist_group("killed")


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of our own with little memory; skipped where none can be made."""
    base = Path("/sys/fs/cgroup")
    old = (base / "memory").is_dir()
    folder = (base / "memory" if old else base) / f"trainwatch-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if old else "memory.max"
    try:
        folder.mkdir()
        try:
            (folder / limit).write_text(str(LIMIT))
        except OSError:
            folder.rmdir()
            raise
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield folder
    folder.rmdir()


def findings(trainwatch: Trainwatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trainwatch.show()["findings"]
    return found


def test_the_kernel_ends_it(trainwatch: Trainwatch, group: Path) -> None:
    # The group is counted from when the supervisor first sees it.
    script = (
        f"echo $$ > {group}/cgroup.procs; n=0; "
        f"until grep -q {group.name} $TRAINWATCH_RUN/oom_kills.json || [ $n -gt 400 ]; "
        f'do n=$((n + 1)); sleep 0.05; done; exec {sys.executable} -c "$1"'
    )
    done = trainwatch("run", "--plain", "--", "sh", "-c", script, "sh", EAT)
    assert done.returncode == 128 + signal.SIGKILL, done.stdout
    (finding,) = findings(trainwatch)
    assert (finding["rule"], finding["kind"]) == ("memory.death", "resource")
    assert finding["summary"].endswith("out of memory, the limit is 157 MB")
    assert f"oom_kill of {group} rose by 1" in finding["evidence"][0]
    *_, told, ended = done.stdout.splitlines()
    assert finding["summary"] in told
    assert "run killed" in ended
    verdict = trainwatch.show()["verdict"]
    assert verdict["facts"][1] == finding["summary"]


def test_the_kernel_ends_it_at_once(trainwatch: Trainwatch, group: Path) -> None:
    """Before anybody could look at its group: only the machine's counter rose."""
    script = f'echo $$ > {group}/cgroup.procs && exec {sys.executable} -c "$1"'
    eat = "held = bytearray(b'x') * (600 << 20)"
    trainwatch("run", "--plain", "--", "sh", "-c", script, "sh", eat)
    (finding,) = findings(trainwatch)
    assert finding["rule"] == "memory.death"
    assert finding["summary"].startswith("killed")


def test_somebody_ends_it(trainwatch: Trainwatch) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    (finding,) = findings(trainwatch)
    if sys.platform == "darwin":
        assert "jetsam" in finding["summary"]
    else:
        assert finding["rule"] == "killed.signal"
        assert "by somebody" in finding["summary"]


def test_a_refused_allocation_ends_it(trainwatch: Trainwatch) -> None:
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", REFUSED)
    assert done.returncode == 1
    (finding,) = findings(trainwatch)
    assert finding["rule"] == "memory.death"
    assert finding["summary"].startswith("CPU out of memory")


def test_a_run_that_fails_otherwise_has_no_such_finding(trainwatch: Trainwatch) -> None:
    trainwatch("run", "--plain", "--", sys.executable, "-c", "1 / 0")
    assert findings(trainwatch) == []
