"""`adopt PID`: looked at from outside, never touched."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.runs import Trainwatch, facts, over, supervised, until
from trainwatch.runner.outside import look

CODE = (
    "import signal, subprocess, sys, time\n"
    "for n in set(signal.valid_signals()) - {9, 19, signal.SIGCHLD}:\n"
    "    try: signal.signal(n, lambda n, _: print('signal', n, flush=True))\n"
    "    except (OSError, ValueError): pass\n"
    "log = open('train.log', 'w'); log.write('x' * 5000); log.flush()\n"
    "child = subprocess.Popen([sys.executable, '-c', 'input()'],"
    " stdin=subprocess.PIPE)\n"
    "print('up', flush=True)\n"
    "sys.stdin.readline()\n"
    "child.communicate(b'\\n')\n"
    "sys.exit(7)\n"
)
Stranger = subprocess.Popen[str]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """A process that nobody watches; it ends with 7 when a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "--hf-token", "s3cr3t-x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


def end(process: Stranger) -> str:
    """Let it end by itself; what it wrote since it was up."""
    out, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 7
    return out


def adopted(trainwatch: Trainwatch, process: Stranger, *more: str) -> Path:
    done = trainwatch("adopt", str(process.pid), "--detach", *more)
    assert done.returncode == 0, done.stderr
    return trainwatch.home / "runs" / done.stdout.strip()


def test_one_look(stranger: Stranger, tmp_path: Path) -> None:
    outside = look(stranger.pid)
    assert outside.argv[-2:] == ("--hf-token", "***")
    assert outside.cwd == str(tmp_path)
    assert [member.pid for member in outside.members[:1]] == [stranger.pid]
    assert len(outside.members) == 2
    assert outside.members[0].rss
    assert (str(tmp_path / "train.log"), 5000) in outside.files


def test_a_run_of_it_ends_when_it_ends_and_its_code_is_unknown(
    trainwatch: Trainwatch, stranger: Stranger
) -> None:
    folder = adopted(trainwatch, stranger, "--name", "found")
    supervised(folder)
    document = until(
        lambda: (d := trainwatch.show())["host"]["tree_rss"] and d, "the host"
    )
    assert document["run"]["status"] == "running"
    assert document["run"]["name"] == "found"
    assert document["run"]["supervised"] is True
    assert document["verdict"]["state"] in ("working", "waiting", "stuck", "slow")
    assert document["probe"]["log_only"] == "it was adopted while it ran"
    assert stranger.poll() is None
    assert end(stranger) == ""  # No signal has come.
    ended = over(folder)
    assert (ended["status"], ended["exit_code"]) == ("lost", None)
    assert "only its parent" in ended["detail"]
    assert trainwatch.show()["run"]["exit_code"] is None
    kept = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert b"s3cr3t" not in kept


def test_nothing_is_sent_to_it_whatever_is_asked(
    trainwatch: Trainwatch, stranger: Stranger
) -> None:
    folder = adopted(trainwatch, stranger)
    known = supervised(folder)
    for words in (("abort",), ("abort", "--now"), ("abort", "--kill"), ("snapshot",)):
        done = trainwatch(*words)
        assert done.returncode == 4, words
        assert "nothing is sent to it" in done.stderr
    os.kill(known["supervisor"], signal.SIGTERM)
    os.kill(known["supervisor"], signal.SIGKILL)
    until(lambda: facts(folder)["supervisor"] != known["supervisor"], "another")
    assert trainwatch("abort", "--kill").returncode == 4
    assert trainwatch("remove", "last", "--yes").returncode == 4
    os.kill(facts(folder)["keeper"], signal.SIGKILL)
    until(lambda: facts(folder)["keeper"] != known["keeper"], "another keeper")
    assert end(stranger) == ""
    assert over(folder)["status"] == "lost"


def test_the_plain_view_says_what_is_seen_and_what_is_missing(
    trainwatch: Trainwatch, stranger: Stranger, tmp_path: Path
) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-m", "trainwatch", "adopt", str(stranger.pid), "--plain"],
        stdout=subprocess.PIPE,
        text=True,
    )
    (manifest,) = until(
        lambda: list(trainwatch.home.glob("runs/*/run.json")), "the run"
    )
    supervised(manifest.parent)
    end(stranger)
    out, _ = watcher.communicate(timeout=40)
    assert watcher.returncode == 1
    assert f"process {stranger.pid} of " in out
    assert "train.log" in out
    assert "missing: its exit code" in out
    assert "run lost" in out


def test_twice_is_refused_and_so_is_nobody(
    trainwatch: Trainwatch, stranger: Stranger
) -> None:
    adopted(trainwatch, stranger)
    done = trainwatch("adopt", str(stranger.pid), "--detach")
    assert done.returncode == 4
    assert "watches it already" in done.stderr
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid in (str(gone.pid), "99999999999"):
        done = trainwatch("adopt", pid, "--detach")
        assert done.returncode == 4
        assert done.stderr.count("\n") == 1
    assert trainwatch("adopt", "-5").returncode == 2
    assert len(json.loads(trainwatch("runs", "--json").stdout)["runs"]) == 1
    end(stranger)


def test_stacks_by_py_spy_where_there_is_one(
    trainwatch: Trainwatch,
    stranger: Stranger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in on the path: what is asked of it, and what becomes of its answer."""
    program = tmp_path / "bin" / "py-spy"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "Thread of $4: $*"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    adopted(trainwatch, stranger)
    done = trainwatch("stack")
    assert done.returncode == 0, done.stderr
    child = psutil.Process(stranger.pid).children()[0].pid
    for pid in (stranger.pid, child):
        assert f"--pid {pid} --nonblocking" in done.stdout
    program.write_text("#!/bin/sh\necho 'Permission denied'; exit 1\n")
    done = trainwatch("stack")
    assert "not allowed to look: Permission denied" in done.stdout + done.stderr
    assert end(stranger) == ""
