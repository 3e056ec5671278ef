"""A supervised command behaves as a bare one, and its run is kept."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.runs import (
    DEADLINE_S,
    Trainwatch,
    console,
    facts,
    only_run,
    over,
    supervised,
    until,
)
from trainwatch.runner import sockets

PLAIN = [sys.executable, "-m", "trainwatch", "run", "--plain", "--"]


def test_output_and_exit_code_are_the_childs(trainwatch: Trainwatch) -> None:
    code = "print('out'); import sys; print('err', file=sys.stderr); sys.exit(3)"
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    assert done.returncode == 3
    assert "| out" in done.stdout
    assert "| err" in done.stdout
    assert "run failed" in done.stdout
    document = trainwatch.show()
    assert document["schema"] == 1
    assert document["run"]["status"] == "failed"
    assert document["run"]["exit_code"] == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_death_by_signal_is_said(trainwatch: Trainwatch, number: int) -> None:
    code = f"import os; os.kill(os.getpid(), {int(number)})"
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    assert done.returncode == 128 + number
    run = trainwatch.show()["run"]
    assert (run["status"], run["signal"]) == ("killed", number)


def test_the_log_holds_the_childs_bytes_unchanged(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    script = tmp_path / "noise.py"
    script.write_text(
        "import sys, random\n"
        "r = random.Random(3)\n"
        "o = sys.stdout.buffer\n"
        "for i in range(2000):\n"
        "    o.write(b'%d%%|##|\\r' % i + bytes(r.randrange(32, 256) for _ in "
        "range(50)) + b'\\x1b[31m\\t\\n')\n"
        "o.flush()\n"
    )
    bare = subprocess.run(
        [sys.executable, str(script)], capture_output=True, check=True
    ).stdout
    done = trainwatch("run", "--plain", "--", sys.executable, str(script))
    assert done.returncode == 0
    (folder,) = (trainwatch.home / "runs").iterdir()
    kept = console(folder)
    assert hashlib.sha256(kept).hexdigest() == hashlib.sha256(bare).hexdigest()


def test_the_child_has_a_terminal_of_its_own(trainwatch: Trainwatch) -> None:
    code = (
        "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], "
        "os.getsid(0) == os.getpid(), os.open('/dev/tty', os.O_RDWR) > 2, "
        "os.get_terminal_size().columns)"
    )
    folder = trainwatch.start(code)
    over(folder)
    assert console(folder) == b"[True, True, True] True True 120\n"


def test_plain_lines_hold_no_escape_sequences(trainwatch: Trainwatch) -> None:
    code = r"print('\x1b[31mred\x1b[0m \x1b]0;evil\x07 [bold]x[/bold] \x1b[2J')"
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    assert "\x1b" not in done.stdout
    assert "| red  [bold]x[/bold] " in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("no-such-program-x",), 127, "command not found: no-such-program-x"),
        (("python3", "missing.py"), 2, "script not found: missing.py"),
        (("/",), 126, "/ is a folder"),
    ],
)
def test_what_cannot_start_is_one_line_and_keeps_nothing(
    trainwatch: Trainwatch, words: tuple[str, ...], code: int, text: str
) -> None:
    done = trainwatch("run", "--", *words)
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert list((trainwatch.home / "runs").glob("*")) == []


def test_wrong_usage_and_unknown_runs(trainwatch: Trainwatch) -> None:
    assert trainwatch("run").returncode == 2
    assert trainwatch("fly").returncode == 2
    assert trainwatch("events", "--type", "nope").returncode == 2
    for command in ("show", "abort", "review", "events", "attach"):
        done = trainwatch(command, "nope")
        assert done.returncode == 3, command
        assert done.stderr.count("\n") == 1
    assert "no runs yet" in trainwatch("runs").stdout
    assert json.loads(trainwatch("runs", "--json").stdout)["runs"] == []


def test_a_home_that_cannot_be_written_is_one_line(
    trainwatch: Trainwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TRAINWATCH_HOME", str(blocked))
    done = trainwatch("run", "--", sys.executable, "-c", "pass")
    assert done.returncode == 4
    assert "the run cannot be kept" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_of_a_newer_schema_is_refused(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("pass")
    over(folder)
    document = facts(folder)
    (folder / "run.json").write_text(json.dumps({**document, "schema": 99}))
    done = trainwatch("show")
    assert done.returncode == 4
    assert "newer trainwatch" in done.stderr
    assert "unreadable" in trainwatch("runs").stdout


def test_two_runs_at_once_share_nothing(trainwatch: Trainwatch) -> None:
    code = "import time\nfor n in range(8): print({0!r}, n, flush=True); time.sleep(.1)"
    first = trainwatch.start(code.format("one"), "--name", "one")
    second = trainwatch.start(code.format("two"), "--name", "two")
    assert over(first)["exit_code"] == over(second)["exit_code"] == 0
    assert b"two" not in console(first)
    assert console(second).count(b"two") == 8


def test_private_to_its_owner(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("import time; time.sleep(30)")
    supervised(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o077, path
    assert trainwatch("abort", "--kill").returncode == 0


def test_secrets_do_not_reach_the_disk(
    trainwatch: Trainwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    done = trainwatch(
        "run", "--detach", "--", sys.executable, "-c", "pass", "--hf-token", "s3cr3t-x"
    )
    folder = trainwatch.home / "runs" / done.stdout.strip()
    over(folder)
    kept = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert b"s3cr3t" not in kept
    assert b"MY_TOKEN" in kept


def test_garbage_on_the_event_socket_loses_nothing(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("import time; time.sleep(60)")
    supervised(folder)
    hostile = socket.socket(socket.AF_UNIX)
    hostile.connect(sockets.address(folder, "events.sock"))
    for data in (
        b"\x00\xff\n" * 50,
        b'{"type":"run_ended","time":1,"status":"finished"}\n',
        b'{"type":"step_ended","time":1,"step":"x"}\n',
        b"[" * 2_000_000 + b"\n",
        b'{"type":"metrics_logged","time":1,"pid":999,"values":{"loss":1.5}}\n',
    ):
        hostile.sendall(data)
    hostile.close()
    document = until(
        lambda: (d := trainwatch.show())["probe"]["refused_lines"] >= 52 and d,
        "refused lines",
    )
    assert document["run"]["status"] == "running"
    (process,) = (p for p in document["processes"] if p["pid"] == 999)
    assert process["metrics"] == {"loss": 1.5}
    assert trainwatch("abort", "--kill").returncode == 0


def test_garbage_on_the_control_socket(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("import time; time.sleep(60)")
    supervised(folder)
    for data in (b"{}\n", b"garbage\n", b'{"command":"fly"}\n', b"x" * 100_000):
        client = socket.socket(socket.AF_UNIX)
        client.connect(sockets.address(folder, "control.sock"))
        client.settimeout(5)
        try:
            client.sendall(data)
            answered = client.recv(4096)
        except ConnectionError:
            answered = b""
        assert answered == b"" or b"refused" in answered
        client.close()
    assert trainwatch("abort", "--kill").returncode == 0


# --- nobody of us is needed ---

COUNT = (
    "import time, sys\n"
    "for n in range(50): print('line', n, flush=True); time.sleep(0.1)\n"
    "sys.exit(3)"
)


def lines(folder: Path) -> int:
    return console(folder).count(b"line")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        (("supervisor",), "failed", 3),
        (("keeper",), "failed", 3),
        (("supervisor", "keeper"), "lost", None),
        (("keeper", "supervisor"), "lost", None),
    ],
)
def test_the_run_survives_our_death(
    trainwatch: Trainwatch, order: tuple[str, ...], status: str, code: int | None
) -> None:
    """One after the other dies, each time another takes over. The exit code is
    known, or honestly not."""
    folder = trainwatch.start(COUNT)
    before = supervised(folder)
    until(lambda: lines(folder) >= 3, "output")
    for who in order:
        victim = facts(folder)[who]
        kill(victim)
        until(lambda: facts(folder)[who] != victim, f"another {who}")  # noqa: B023
    ended = over(folder)
    assert lines(folder) == 50
    assert (ended["status"], ended["exit_code"]) == (status, code)
    assert ended["child"] == before["child"]
    document = trainwatch.show()
    assert document["run"]["status"] == status


def test_when_all_of_us_die_at_once_the_end_is_called_lost(
    trainwatch: Trainwatch,
) -> None:
    folder = trainwatch.start(COUNT)
    before = supervised(folder)
    until(lambda: lines(folder) >= 3, "output")
    kill(before["supervisor"])
    kill(before["keeper"])
    document = until(
        lambda: (d := trainwatch.show())["run"]["status"] == "lost" and d, "lost"
    )
    assert document["run"]["exit_code"] is None
    assert facts(folder)["status"] == "lost"


def test_killing_the_watcher_ends_nothing(trainwatch: Trainwatch) -> None:
    watcher = subprocess.Popen(
        [*PLAIN, sys.executable, "-c", COUNT],
        stdout=subprocess.PIPE,
        cwd=trainwatch.cwd,
    )
    folder = only_run(trainwatch.home)
    until(lambda: lines(folder) >= 3, "output")
    watcher.kill()
    watcher.communicate()
    assert over(folder)["exit_code"] == 3
    assert lines(folder) == 50


def test_closing_the_terminal_ends_nothing(trainwatch: Trainwatch) -> None:
    import pexpect

    screen = pexpect.spawn(
        sys.executable,
        ["-m", "trainwatch", "run", "--plain", "--", sys.executable, "-c", COUNT],
        cwd=str(trainwatch.cwd),
        timeout=30,
    )
    screen.expect("line 3")
    screen.close(force=True)
    (folder,) = (trainwatch.home / "runs").iterdir()
    assert over(folder)["exit_code"] == 3
    assert lines(folder) == 50


def test_a_reader_that_leaves_ends_nothing(trainwatch: Trainwatch) -> None:
    """`trainwatch run … | head -1`"""
    watcher = subprocess.Popen(
        [*PLAIN, sys.executable, "-c", COUNT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=trainwatch.cwd,
    )
    assert watcher.stdout is not None
    watcher.stdout.readline()
    watcher.stdout.close()
    assert watcher.wait(30) == 0
    assert watcher.stderr is not None
    assert watcher.stderr.read() == b""
    watcher.stderr.close()
    (folder,) = (trainwatch.home / "runs").iterdir()
    assert over(folder)["exit_code"] == 3


# --- the hands ---


def test_abort_before_training_interrupts(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("import time; print('up', flush=True); time.sleep(60)")
    until(lambda: b"up" in console(folder), "output")
    done = trainwatch("abort")
    assert done.returncode == 0, done.stderr
    assert "no step is running" in done.stderr
    document = trainwatch.show()
    assert document["run"]["status"] == "aborted"
    assert b"KeyboardInterrupt" in console(folder)
    (command,) = document["commands"]
    assert (command["command"], command["outcome"]) == ("abort", "done")


def test_abort_kill_leaves_no_survivor(trainwatch: Trainwatch) -> None:
    code = (
        "import subprocess, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        "print('up', p.pid, flush=True)\n"
        "time.sleep(99)"
    )
    folder = trainwatch.start(code)
    until(lambda: b"up" in console(folder), "output")
    grandchild = int(console(folder).split()[1])
    asked = subprocess.Popen(
        [sys.executable, "-m", "trainwatch", "abort", "--now"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until(lambda: trainwatch.show()["commands"], "the first abort")
    assert trainwatch("abort", "--kill").returncode == 0
    asked.communicate(timeout=30)
    until(lambda: not os.path.exists(f"/proc/{grandchild}"), "no survivor")
    run = trainwatch.show()["run"]
    assert (run["status"], run["signal"]) == ("aborted", 9)


def test_commands_to_a_run_that_is_over_are_refused(trainwatch: Trainwatch) -> None:
    over(trainwatch.start("pass"))
    for command in ("abort", "snapshot", "stack"):
        done = trainwatch(command)
        assert done.returncode == 4
        assert "is over: finished" in done.stderr


def test_a_snapshot_without_training_is_refused_but_keeps_the_rest(
    trainwatch: Trainwatch,
) -> None:
    folder = trainwatch.start("import time; print('up', flush=True); time.sleep(60)")
    until(lambda: b"up" in console(folder), "output")
    done = trainwatch("snapshot")
    assert done.returncode == 4
    assert "no training loop is running" in done.stderr
    kept = folder / "snapshots" / "1"
    names = {path.name for path in kept.iterdir()}
    assert {"manifest.json", "stacks.txt", "memory.json", "state.json", "tail.txt"} <= (
        names
    )
    assert (kept / "tail.txt").read_text().strip() == "up"
    assert trainwatch("abort", "--kill").returncode == 0


def test_ctrl_c_in_plain_mode_reaches_the_child(trainwatch: Trainwatch) -> None:
    code = (
        "import time\n"
        "print('up', flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('caught', flush=True)"
    )
    watcher = subprocess.Popen(
        [*PLAIN, sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=trainwatch.cwd,
    )
    folder = only_run(trainwatch.home)
    until(lambda: b"up" in console(folder), "output")
    supervised(folder)
    watcher.send_signal(signal.SIGINT)
    out, _ = watcher.communicate(timeout=30)
    assert watcher.returncode == 0
    assert "| caught" in out


def test_a_flood_of_output_is_kept_whole(trainwatch: Trainwatch) -> None:
    code = "import sys\nfor n in range(200_000): print('x' * 99)"
    started = time.monotonic()
    folder = trainwatch.start(code)
    assert over(folder)["exit_code"] == 0
    assert (folder / "console.log").stat().st_size == 200_000 * 100
    assert time.monotonic() - started < 40


def test_output_that_cannot_be_kept_is_counted_and_stops_nothing(
    trainwatch: Trainwatch,
) -> None:
    """A limit on file sizes stands in for a full disk."""
    limit = 300_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code = "import sys\nfor n in range(20_000): print('x' * 99)\nsys.exit(5)"
    done = trainwatch(
        "run", "--plain", "--", sys.executable, "-c", code, preexec_fn=limited
    )
    assert done.returncode == 5
    document = trainwatch.show()
    assert document["run"]["status"] == "failed"
    kept = Path(document["run"]["home"], "console.log").stat().st_size
    assert kept <= limit
    assert "could not be kept" in document["run"]["detail"]
    assert document["host"]["console_lost"] <= 2_000_000 - kept


def test_probes_that_cannot_begin_are_named_and_change_nothing(
    trainwatch: Trainwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage is damaged between two runs."""
    over(trainwatch.start("pass"))
    (package,) = (trainwatch.home / "stage").glob("*/_trainwatch_probes")
    (package / "bootstrap.py").write_text("raise RuntimeError('damaged')")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    folder = trainwatch.start("import time; print('up'); time.sleep(4)")
    ended = over(folder)
    assert ended["exit_code"] == 0
    assert console(folder) == b"up\n"
    assert "start: RuntimeError: damaged" in trainwatch.show()["probe"]["errors"]


def test_a_takeover_counts_on_and_closes_what_was_under_way(
    trainwatch: Trainwatch,
) -> None:
    """Warnings are not counted twice, and no command stays under way for ever."""
    code = (
        "import signal, time, warnings\n"
        "signal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\n"
        "warnings.warn('odd thing happened')\n"
        "print('up', flush=True)\n"
        "for n in range(100): time.sleep(0.1)"
    )
    folder = trainwatch.start(code)
    until(lambda: trainwatch.show()["warnings"]["items"], "the warning")
    asked = subprocess.Popen(
        [sys.executable, "-m", "trainwatch", "abort"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: trainwatch.show()["commands"], "the abort")
    victim = facts(folder)["supervisor"]
    kill(victim)
    until(lambda: facts(folder)["supervisor"] != victim, "another supervisor")
    asked.wait(DEADLINE_S)
    over(folder)
    document = trainwatch.show()
    assert [item["count"] for item in document["warnings"]["items"]] == [1]
    (command,) = document["commands"]
    assert command["outcome"] == "unknown"
    assert document["run"]["status"] == "aborted"
