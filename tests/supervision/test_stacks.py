"""`t`: where every thread of every process is, and who could not be asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.runs import Trainwatch, console, until

TWO = """\
import subprocess, sys, threading, time
def prefetch():
    time.sleep(300)
def collate():
    time.sleep(300)
threading.Thread(target=prefetch, daemon=True).start()
if sys.argv[-1] != 'child':
    subprocess.Popen([sys.executable, __file__, 'child'])
print('ready', flush=True)
collate()
"""
SPY = """\
#!/bin/sh
[ "$1" = dump ] || exit 2
for pid; do :; done
echo "Thread $pid (idle): \\"MainThread\\""
echo '    sleep_here (/home/a/train.py:7)'
"""


def test_every_thread_of_every_process_with_the_users_line_first(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    words = ("run", "--detach", "--", sys.executable, str(script))
    folder = trainwatch.home / "runs" / trainwatch(*words).stdout.strip()
    until(lambda: console(folder).count(b"ready") == 2, "both processes")

    def asked() -> str:
        done = trainwatch("stack")
        return done.stdout if done.stdout.count("two.py:5 in collate") == 2 else ""

    text = until(asked, "both stacks")
    assert text.index("two.py:5 in collate") < text.index("===")
    for block in text.split("=== ")[1:]:
        assert block.index("[main]") < block.index("collate") < block.index("prefetch")
        assert f'  > File "{script}", line 5 in collate' in block


def silent(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("print('up', flush=True); input()", "--no-probes")
    until(lambda: b"up" in console(folder), "the program")


def test_without_a_probe_it_is_said_who_was_not_asked(
    trainwatch: Trainwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    silent(trainwatch)
    done = trainwatch("stack")
    assert done.returncode == 4
    assert "no probe has connected" in done.stderr
    assert "py-spy is not installed" in done.stderr


def test_py_spy_is_used_where_it_is_there(
    trainwatch: Trainwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "py-spy"
    program.parent.mkdir()
    program.write_text(SPY)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    silent(trainwatch)
    done = trainwatch("stack")
    assert done.returncode == 0, done.stderr
    assert "train.py:7 in sleep_here" in done.stdout
