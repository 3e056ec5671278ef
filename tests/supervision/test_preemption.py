"""SIGTERM to us ends the run rung by rung within its grace, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.runs import Trainwatch, console, facts, only_run, over, supervised, until

STUBBORN = (
    "import signal, time\n"
    "for n in (signal.SIGINT, signal.SIGTERM):\n"
    "    signal.signal(n, lambda n, _: print('asked', int(n), flush=True))\n"
    "print('up', flush=True)\n"
    "while True: time.sleep(0.05)"
)
POLITE = (
    "import time\n"
    "try: print('up', flush=True); time.sleep(60)\n"
    "except KeyboardInterrupt: print('saved by itself', flush=True)"
)


def plain(trainwatch: Trainwatch, grace: str, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "trainwatch", "run", "--plain", "--grace", grace),
            *("--", sys.executable, "-c", code),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=trainwatch.cwd,
    )


def test_a_stubborn_run_ends_within_the_grace(trainwatch: Trainwatch) -> None:
    watcher = plain(trainwatch, "3", STUBBORN)
    folder = only_run(trainwatch.home)
    until(lambda: b"up" in console(folder), "output")
    supervised(folder)
    began = time.monotonic()
    watcher.send_signal(signal.SIGTERM)
    child = facts(folder)["child"]
    until(lambda: not os.path.exists(f"/proc/{child}"), "the end of the command", 20)
    took = time.monotonic() - began
    out, _ = watcher.communicate(timeout=30)
    assert watcher.returncode == 128 + signal.SIGKILL
    assert took < 3.0 + 2.0, "its kill is due 0.3 s before the end of the grace"
    asked = console(folder).decode().split("\r")[-1].split("asked ")[1:]
    assert [int(number) for number in asked][:2] == [signal.SIGINT, signal.SIGTERM]
    assert "rung 4 of 4, kill" in out
    document = trainwatch.show()
    assert document["run"]["status"] == "aborted"
    (command,) = document["commands"]
    assert (command["rung"], command["outcome"]) == ("kill", "done")
    assert command["detail"].startswith("killed")


@pytest.mark.parametrize("who", [("supervisor",), ("keeper", "supervisor")])
def test_our_own_processes_take_it_too(
    trainwatch: Trainwatch, who: tuple[str, ...]
) -> None:
    """As SLURM and systemd do: each of us gets it."""
    folder = trainwatch.start(POLITE, "--grace", "20")
    before = supervised(folder)
    until(lambda: b"up" in console(folder), "output")
    for name in who:
        os.kill(before[name], signal.SIGTERM)
    ended = over(folder)
    assert (ended["status"], ended["exit_code"]) == ("aborted", 0)
    assert b"saved by itself" in console(folder)
    assert {name: ended[name] for name in who} == {name: before[name] for name in who}
    (command,) = trainwatch.show()["commands"]
    assert command["detail"].startswith("ended by SIGINT; stopped unsaved")


def test_the_screen_takes_it_and_ends_with_the_run(trainwatch: Trainwatch) -> None:
    import pexpect

    screen = pexpect.spawn(
        sys.executable,
        [
            *("-m", "trainwatch", "run", "--grace", "20"),
            *("--", sys.executable, "-c", POLITE),
        ],
        cwd=str(trainwatch.cwd),
        timeout=30,
        dimensions=(24, 80),
        env={**os.environ, "TERM": "xterm-256color", "CI": ""},
    )
    screen.expect("no step")
    folder = only_run(trainwatch.home)
    until(lambda: b"up" in console(folder), "output")
    supervised(folder)
    screen.kill(signal.SIGTERM)
    screen.expect(pexpect.EOF)
    screen.close()
    assert over(folder)["status"] == "aborted"
    assert screen.exitstatus == 0


def test_a_stopped_command_is_woken_to_end(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("import time; print('up', flush=True); time.sleep(60)")
    until(lambda: b"up" in console(folder), "output")
    os.kill(supervised(folder)["child"], signal.SIGSTOP)
    done = trainwatch("abort", "--now")
    assert done.returncode == 0, done.stderr
    assert over(folder)["status"] == "aborted"


def test_the_tree_ends_where_the_command_does_not_end_it(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """The command waits for its worker and takes no SIGTERM itself."""
    code = (
        "import signal, subprocess, sys\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; "
        'print("up", flush=True); time.sleep(60)\'])\n'
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "worker.wait()\n"
        "print('worker ended', worker.returncode, flush=True)"
    )
    folder = trainwatch.start(code)
    until(lambda: b"up" in console(folder), "output")
    done = trainwatch("abort", "--tree")
    assert done.returncode == 0, done.stderr
    assert "rung 3 of 4, terminate the tree" in done.stderr
    assert f"worker ended -{int(signal.SIGTERM)}".encode() in console(folder)
    assert over(folder)["status"] == "aborted"


@pytest.mark.parametrize("text", ["0", "-3", "soon", "inf"])
def test_a_grace_that_is_none_is_wrong_usage(trainwatch: Trainwatch, text: str) -> None:
    assert trainwatch("run", f"--grace={text}", "--", "true").returncode == 2
