"""
The fault matrix: whatever happens to us, the run goes on and its end is known.

Each test is a row of `docs/faults.md`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import faults
from support.faults import CODE, HOLD_S, NOT, Row, Work, measure, state_of, steps_done
from support.runs import Trainwatch, console, facts, only_run, over, supervised, until
from support.screen import Screen
from trainwatch.runner import sockets

ROWS: list[Row] = []


@pytest.fixture(scope="module", autouse=True)
def page() -> Iterator[None]:
    """Write the page, where it is asked for."""
    yield
    if faults.TABLE:
        Path(faults.TABLE).write_text(faults.page(ROWS))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The row of this test; every cell of it must be filled, and right."""
    row = Row(request.node.name.removeprefix("test_"), "")
    ROWS.append(row)
    yield row
    assert None not in row.cells, row
    assert not row.wrong, row


def running(work: Work, trainwatch: Trainwatch, *options: str) -> Path:
    folder = work.start(trainwatch, *options)
    supervised(folder)
    steps_done(folder, 3)
    return folder


def let_go_on(pid: int) -> None:
    if state_of(pid):
        os.kill(pid, signal.SIGCONT)


# --- supervisor and keeper ---


@pytest.mark.parametrize("who", ["supervisor", "keeper"])
def test_sigkill(trainwatch: Trainwatch, work: Work, row: Row, who: str) -> None:
    row.what = f"SIGKILL of the {who}"
    folder = running(work, trainwatch)
    victim = facts(folder)[who]
    os.kill(victim, signal.SIGKILL)
    took = faults.seconds_until(lambda: facts(folder)[who] != victim, f"another {who}")
    measure(row, work, folder, takeover=took)


def test_crash_loop(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    """A manifest that nobody can read ends each supervisor at its start."""
    row.what = "each supervisor ends at its start"
    folder = running(work, trainwatch)
    manifest = (folder / "run.json").read_bytes()
    (folder / "run.json").write_text("{")
    os.kill(json.loads(manifest)["supervisor"], signal.SIGKILL)
    began = time.monotonic()
    until((folder / "exit.json").exists, "the end", 60)
    took = time.monotonic() - began
    errors = (folder / "supervisor.log").read_text()
    starts = errors.count("errors.RefusedError:")
    row.note = f"{starts} starts in {took:.1f} s, less and less often; said in its log"
    if not 1 < starts < 8 or "times in a row" not in errors:
        row.wrong.append(row.note)
    (folder / "run.json").write_bytes(manifest)
    run = trainwatch.show()["run"]
    row.check("code", run["exit_code"] == CODE, "yes, by the next reader", str(run))
    faults.same_result(row, work)
    faults.same_output(row, work, console(folder))
    told = [e for e in faults.events(folder) if e["type"] == "phase_ended"]
    lost = trainwatch.show()["probe"]["lost"]
    said = f"{lost} lost, {len(told)} of {work.steps} steps told"
    row.check("events", len(told) + lost >= work.steps, said)
    row.takeover = "never, as was made sure"


@pytest.mark.parametrize("who", ["supervisor", "keeper"])
def test_sigstop(trainwatch: Trainwatch, work: Work, row: Row, who: str) -> None:
    row.what = f"SIGSTOP of the {who} for {HOLD_S:g} s"
    folder = running(work, trainwatch)
    victim = facts(folder)[who]
    os.kill(victim, signal.SIGSTOP)
    until(lambda: state_of(victim) == "T", "it stands still", 2)
    began = time.monotonic()
    while state_of(victim) == "T" and time.monotonic() - began < HOLD_S:
        time.sleep(0.02)
    took = time.monotonic() - began
    let_go_on(victim)
    other = "keeper" if who == "supervisor" else "supervisor"
    row.note = f"the {other} lets it go on"
    measure(row, work, folder, takeover=took)
    if took >= HOLD_S:
        row.wrong.append("nobody let it go on")


@pytest.mark.parametrize("who", ["supervisor", "keeper"])
def test_sighup(trainwatch: Trainwatch, work: Work, row: Row, who: str) -> None:
    row.what = f"SIGHUP to the {who}"
    row.note = "it is not taken for an end"
    folder = running(work, trainwatch)
    victim = facts(folder)[who]
    os.kill(victim, signal.SIGHUP)
    ended = measure(row, work, folder, takeover=None)
    if ended[who] != victim:
        row.wrong.append("it ended")


# --- screens ---


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "SIGHUP"])
def test_screen(trainwatch: Trainwatch, work: Work, row: Row, name: str) -> None:
    row.what = f"{name} of an attached screen"
    folder = running(work, trainwatch)
    screen = Screen("attach", folder.name, cwd=trainwatch.cwd)
    screen.wait_for("Console")
    pid = screen.process.pid
    os.kill(pid, getattr(signal, name))
    measure(row, work, folder, takeover=None)
    if name == "SIGSTOP":
        row.what += " until the run's end"
        began = time.monotonic()
        os.kill(pid, signal.SIGCONT)
        screen.wait_for("exit code 7")
        row.note = f"shows the end {time.monotonic() - began:.1f} s after it goes on"
    screen.process.close(force=True)


def test_terminal_closed(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "the terminal of `trainwatch run` is closed"
    screen = Screen("run", "--", *work.words(), cwd=trainwatch.cwd)
    screen.wait_for("Console")
    folder = only_run(trainwatch.home)
    steps_done(folder, 3)
    screen.process.close(force=True)
    measure(row, work, folder, takeover=None)


# --- the disk ---


def test_disk_full(
    trainwatch: Trainwatch, tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path, before='print("x" * (4 << 20), flush=True)')
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    real = not subprocess.run(words, capture_output=True, check=False).returncode
    more: dict[str, Any] = {}
    if real:
        monkeypatch.setenv("TRAINWATCH_HOME", str(disk))
        trainwatch = Trainwatch(disk, tmp_path)
        row.what = "the disk of the run directory is full (a tmpfs of 3 MB)"
    else:
        row.what = "the run directory takes no more (a limit on the size of its files)"
        most = (1 << 20, 1 << 20)
        more["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, most)
    try:
        folder = work.start(trainwatch, **more)
        ended = over(folder, 60)
        faults.same_result(row, work)
        kept = console(folder)
        printed = b"x" * (4 << 20) + b"\n" + faults.bare(work.steps)[1]
        lost = trainwatch.show()["host"]["console_lost"] or 0
        whole = len(kept) + lost == len(printed)
        row.check(
            "output",
            whole and lost > 0,
            f"the rest is counted: {lost / len(printed):.0%} lost",
            f"{len(kept)} kept and {lost} counted of {len(printed)}",
        )
        faults.count_events(row, work, folder)
        right = ended["exit_code"] == CODE and "not be kept" in ended["detail"]
        row.check("code", right, "yes", f"{ended['exit_code']}, {ended['detail']}")
        row.takeover = NOT
    finally:
        if real:
            subprocess.run(["umount", "-l", str(disk)], check=False)


def test_directory_removed(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "the run directory is removed"
    watcher = subprocess.Popen(
        [sys.executable, "-m", "trainwatch", "run", "--plain", "--", *work.words()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=trainwatch.cwd,
    )
    folder = only_run(trainwatch.home)
    before = supervised(folder)
    steps_done(folder, 20)  # By then the screen holds its files open.
    shutil.rmtree(folder)
    said, _ = watcher.communicate(timeout=60)
    faults.same_result(row, work)
    shown = [line.partition("| ")[2] for line in said.splitlines() if "| step" in line]
    row.check(
        "output",
        len(shown) == work.steps,
        "shown by open screens, then gone",
        f"{len(shown)} of {work.steps} lines shown",
    )
    row.events = "gone with it"
    row.check("code", watcher.returncode == CODE, "yes", str(watcher.returncode))
    ours = [before["supervisor"], before["keeper"]]
    row.takeover = NOT
    until(lambda: not any(map(state_of, ours)), "none of us is left", 20)
    assert "run directory was removed" in said
    row.note = "open screens say so"


def test_event_socket_removed(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "the event socket is removed"
    folder = running(work, trainwatch)
    address = Path(sockets.address(folder, "events.sock"))
    address.unlink()
    took = faults.seconds_until(address.exists, "the socket again")
    row.note = "made again; connections stand"
    measure(row, work, folder, takeover=took)


# --- floods ---


def test_flood_of_output(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = f"{faults.FLOOD_MB} MB of output in one go"
    line = b"x" * 999 + b"\n"
    work.before = (
        f"for n in range({faults.FLOOD_MB} * 1000): "
        f"sys.stdout.write('x' * 999 + '\\n')\n"
        "last = time.monotonic()"
    )
    folder = work.start(trainwatch)
    measure_output = hashlib.sha256(line * (faults.FLOOD_MB * 1000))
    measure_output.update(faults.bare(work.steps)[1])
    row.takeover = NOT
    ended = over(folder, 300)
    faults.same_result(row, work)
    kept = hashlib.sha256(console(folder)).digest()
    row.check("output", kept == measure_output.digest(), "yes")
    faults.count_events(row, work, folder)
    row.check("code", ended["exit_code"] == CODE, "yes", str(ended["exit_code"]))


SAY = """
from _trainwatch_probes import custom
with phase("begin"): pass
say = custom._own._process.connection.say
ends, more = time.monotonic() + 2, {"said": 0}
while time.monotonic() < ends:
    for n in range(100): say("metrics_logged", {"values": {"n": float(n)}})
    more["said"] += 100
last = time.monotonic()
"""


def test_flood_of_events(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    """As fast as the child can; what is too much is left out, and counted."""
    work.before = SAY
    folder = work.start(trainwatch)
    ended = over(folder, 120)
    faults.same_result(row, work)
    faults.same_output(row, work, console(folder))
    said = work.left()["said"]
    row.what = f"{said / 2:,.0f} events a second from the child's probes for 2 s"
    mine = [e for e in faults.events(folder) if e["type"] == "metrics_logged"]
    counted = trainwatch.show()["probe"]["dropped"]
    row.check(
        "events",
        # The child's own phases are among those that were left out.
        0 <= len(mine) + counted - said <= work.steps and said > 200_000,
        f"{counted / said:.0%}, counted",
        f"{said} said, {len(mine)} came, {counted} counted",
    )
    row.check("code", ended["exit_code"] == CODE, "yes", str(ended["exit_code"]))
    row.takeover = NOT


def test_flood_of_raw_events(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    """Through a socket that waits for the supervisor: nothing is lost."""
    row.what = "events through the raw socket, as fast as it takes them, for 2 s"
    folder = running(work, trainwatch)
    line = b'{"v":1,"time":1,"pid":999,"type":"metrics_logged","values":{"n":1.0}}\n'
    sent = 0
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(sockets.address(folder, "events.sock"))
        ends = time.monotonic() + 2
        while time.monotonic() < ends:
            raw.sendall(line * 100)
            sent += 100
    measure(row, work, folder, takeover=None)
    came = sum(e["type"] == "metrics_logged" for e in faults.events(folder))
    if came != sent:
        row.wrong.append(f"{came} of {sent} raw events came")
    row.note = f"{sent / 2:,.0f} a second came, all of them"


def test_hostile_events(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "hostile events: malformed, oversized, foreign, wrong pids, NaN times"
    folder = running(work, trainwatch)
    lines = (
        b"\x00\xff\n" * 50,
        b'{"type":"run_ended","time":1,"status":"finished"}\n',
        b'{"type":"step_ended","time":1,"step":"x"}\n',
        b"[" * 2_000_000 + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"type":"process_left","time":NaN,"pid":-1,"reason":"exit"}\n',
        b'{"type":"step_ended","time":"nan","pid":1,"step":1,"seconds":1e308}\n',
        b'{"type":"step_ended","time":1e300,"pid":99999999999999,"step":-5}\n',
        b'{"type":"metrics_logged","time":-1,"pid":0,"values":{"loss":"nan"}}\n',
        b'{"type":"phase_ended","time":Infinity,"phase":"\x1b[2J","seconds":-1}\n',
    )
    with socket.socket(socket.AF_UNIX) as hostile:
        hostile.connect(sockets.address(folder, "events.sock"))
        for data in lines:
            hostile.sendall(data)
    measure(row, work, folder, takeover=None)
    document = trainwatch.show()
    refused = document["probe"]["refused_lines"]
    if refused < 54 or document["run"]["status"] != "failed":
        row.wrong.append(f"{refused} refused")
    row.note = f"{refused} lines refused and counted"
    if facts(folder)["supervisor"] != supervised(folder)["supervisor"]:
        row.wrong.append("the supervisor ended")


# --- several, and what a child may do ---


@pytest.mark.parametrize("count", [2, 5])
def test_at_once(trainwatch: Trainwatch, tmp_path: Path, row: Row, count: int) -> None:
    row.what = f"{count} runs at once"
    works = [Work(tmp_path, name=f"work{n}") for n in range(count)]
    folders = [work.start(trainwatch) for work in works]
    worst = Row("", "")
    for work, folder in zip(works, folders, strict=True):
        measure(worst, work, folder, takeover=None)
        row.wrong += worst.wrong
    for name in ("result", "output", "events", "code", "takeover"):
        setattr(row, name, getattr(worst, name))
    row.note = "each of them; the last one is shown"


def test_child_forks_and_exits(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "the child forks and exits; what it forked prints on for 1 s"
    work.after = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    for n in range(10): time.sleep(0.1); print('after', n, flush=True)\n"
        "    os._exit(0)"
    )
    folder = work.start(trainwatch)
    ended = over(folder)
    faults.same_result(row, work)
    expected = faults.bare(work.steps)[1]
    expected += b"".join(b"after %d\n" % n for n in range(10))
    until(lambda: len(console(folder)) >= len(expected), "the last lines", 10)
    row.check("output", console(folder) == expected, "yes, the fork's as well")
    faults.count_events(row, work, folder)
    row.check("code", ended["exit_code"] == CODE, "yes, the child's")
    row.takeover = NOT


def test_child_ignores_sigterm(trainwatch: Trainwatch, work: Work, row: Row) -> None:
    row.what = "the child ignores SIGTERM: `abort --now`, then `--kill`"
    work.before = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    work.steps = 10_000
    folder = running(work, trainwatch)
    child = facts(folder)["child"]
    asked = subprocess.Popen(
        [sys.executable, "-m", "trainwatch", "abort", "--now"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: b'"abort"' in (folder / "events.jsonl").read_bytes(), "the abort")
    steps = console(folder).count(b"step ")
    steps_done(folder, steps + 5)
    began = time.monotonic()
    assert trainwatch("abort", "--kill").returncode == 0
    ended = over(folder)
    row.takeover = f"ended {time.monotonic() - began:.1f} s after `--kill`"
    asked.communicate(timeout=30)
    row.result = NOT
    kept = console(folder)
    _, printed = faults.bare(work.steps)
    row.check("output", printed.startswith(kept), "yes, to its end")
    row.events = NOT
    row.check(
        "code",
        (ended["status"], ended["signal"]) == ("aborted", 9) and not state_of(child),
        "yes: aborted, signal 9",
        str(ended),
    )


CLOCK = """\
import os, time
_real, _file = time.time, os.environ["TEST_CLOCK"]
time.time = lambda: _real() + os.stat(_file).st_mtime
"""


def test_clock_jump(
    trainwatch: Trainwatch,
    work: Work,
    tmp_path: Path,
    row: Row,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row.what = "the clock is set an hour on, then two hours back"
    clock = tmp_path / "clock"
    clock.touch()
    os.utime(clock, (0, 0))
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TEST_CLOCK", str(clock))
    folder = running(work, trainwatch)
    healed = []
    for offset in (3600, -7200):
        now = clock.stat().st_mtime + offset
        os.utime(clock, (now, now))
        began = time.monotonic()
        while (verdict := trainwatch.show()["verdict"])["state"] == "slow":
            assert time.monotonic() - began < 10, verdict
        healed.append(time.monotonic() - began)
        assert verdict["state"] in ("starting", "working"), verdict
        if (verdict["age_s"] or 0.0) < 0:
            row.wrong.append(f"an age of {verdict['age_s']} s")
    row.note = f"the verdict is right {healed[0]:.1f} s and {healed[1]:.1f} s after"
    measure(row, work, folder, takeover=None)
