"""`--notify CMD`: told of the end and of trouble, once, and never in the way."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from support.runs import Trainwatch, console, facts, over, until


def told(path: Path) -> list[dict[str, Any]]:
    """What the command got so far, a document a line."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_command_is_told_of_the_end(trainwatch: Trainwatch, tmp_path: Path) -> None:
    """Once, with the run's true end, which `show` knows at that moment too."""
    out = tmp_path / "told"
    shown = tmp_path / "shown"
    show = f"'{sys.executable}' -m trainwatch show --json"
    done = trainwatch(
        *("run", "--plain", "--name", "mine", "--notify"),
        f"cat >> '{out}'; {show} > '{shown}.part'; mv '{shown}.part' '{shown}'",
        *("--", sys.executable, "-c", "import sys; sys.exit(3)"),
    )
    assert done.returncode == 3
    until(shown.exists, "the command")
    (document,) = told(out)
    assert (document["schema"], document["kind"]) == (1, "death")
    assert document["title"] == "mine: failed"
    assert "exit code 3" in document["text"]
    run = document["run"]
    assert (run["status"], run["exit_code"], run["signal"]) == ("failed", 3, None)
    assert document["verdict"]["state"] == "failed"
    assert json.loads(shown.read_text())["run"]["status"] == "failed"


def test_a_command_that_hangs_or_fails_is_not_in_the_way(
    trainwatch: Trainwatch,
) -> None:
    began = time.monotonic()
    folder = trainwatch.start("import sys; sys.exit(3)", "--notify", "sleep 30")
    assert over(folder)["exit_code"] == 3
    assert time.monotonic() - began < 25
    folder = trainwatch.start("pass", "--notify", "exit 9")
    assert over(folder)["exit_code"] == 0
    log = folder / "supervisor.log"
    until(lambda: "ended with exit code 9" in log.read_text(), "the complaint")


def test_nobody_is_told_twice_when_a_supervisor_dies(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """It asks, which is told; the supervisor dies; it ends, which is told."""
    out = tmp_path / "told"
    code = "import sys; input('which one? '); sys.exit(5)"
    folder = trainwatch.start(code, "--notify", f"cat >> '{out}'")
    (document,) = until(lambda: told(out), "the notice")
    assert document["kind"] == "waiting"
    assert "which one?" in document["text"]
    victim = facts(folder)["supervisor"]
    os.kill(victim, signal.SIGKILL)
    until(lambda: facts(folder)["supervisor"] != victim, "another supervisor")
    until(lambda: trainwatch.show()["verdict"]["state"] == "waiting", "the same")
    time.sleep(8)  # Longer than a trouble is held back: none may come.
    assert len(told(out)) == 1
    child = facts(folder)["child"]
    os.kill(child, signal.SIGTERM)
    assert over(folder)["signal"] == signal.SIGTERM
    documents = until(lambda: len(t := told(out)) > 1 and t, "the end")
    assert [document["kind"] for document in documents] == ["waiting", "death"]


def test_the_command_is_on_no_disk_and_not_in_the_childs_environment(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    out = tmp_path / "told"
    secret = "https://chat.example/hook/T0P5ECRET"
    code = "import os; print('TRAINWATCH_NOTIFY' in os.environ, flush=True)"
    folder = trainwatch.start(code, "--notify", f"cat > '{out}' # {secret}")
    over(folder)
    until(lambda: told(out), "the notice")
    assert console(folder) == b"False\n"
    kept = b"".join(
        path.read_bytes() for path in trainwatch.home.rglob("*") if path.is_file()
    )
    assert b"T0P5ECRET" not in kept
