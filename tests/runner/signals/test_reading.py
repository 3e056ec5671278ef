"""What Linux says of a process, from a /proc that is made by hand."""

from __future__ import annotations

import struct
import time

import pytest

from trainwatch.runner.signals import locks, proc, sockets
from trainwatch.runner.signals.calls import Call, call
from trainwatch.runner.signals.lockfiles import awaited
from trainwatch.runner.signals.look import look
from trainwatch.runner.signals.pipes import other_end
from trainwatch.runner.signals.pressure import stalled
from trainwatch.runner.signals.waits import Wait, wait

X86 = "x86_64"
PID = 7


def waits(made, status: str = "S") -> Wait:  # type: ignore[no-untyped-def]
    return wait(made.proc, PID, PID, status, X86)


def test_a_name_with_brackets_and_blanks_is_read() -> None:
    found = proc.stat("7 (a) b (c)) S 1 7 7 0 -1 0 0 0 5 0 11 22 0 0 20 0 3 0 99 1 2")
    assert found is not None
    assert (found.name, found.status, found.ticks) == ("a) b (c)", "S", 33)
    assert (found.major_faults, found.threads, found.started) == (5, 3, 99)


@pytest.mark.parametrize("text", ["", "7 (python", "7 (python) S 1", "x y z"])
def test_a_torn_stat_is_nothing(text: str) -> None:
    assert proc.stat(text) is None


def test_a_call_is_named_by_the_machines_table() -> None:
    assert call("0 0x0 0x7f 0x1", X86) == Call("read", (0, 0x7F, 1))
    assert call("63 0x0", "aarch64") == Call("read", (0,))
    assert call("running") == Call("running")
    assert call("9999 0x0", X86) is None
    assert call("0 0x0", "sparc") is None
    assert call("-1 0x7ffe 0x7f", X86) is None


@pytest.mark.parametrize(
    ("number", "arguments", "target", "what"),
    [
        (0, (0,), "/dev/pts/3", "keyboard"),
        (0, (5,), "/dev/tty", "keyboard"),
        (1, (1,), "/dev/pts/3", "terminal full"),
        (1, (1,), "pipe:[12]", "pipe full"),
        (0, (3,), "pipe:[12]", "pipe"),
        (45, (3,), "socket:[12]", "socket"),
        (0, (3,), "/data/rows.bin", "file"),
        (73, (4, 2), "/cache/x.lock", "file lock"),
        (72, (4, 7), "/cache/x.lock", "file lock"),
        (74, (4,), "/out/model.bin", "disk"),
        (202, (0x55, 0x189, 0, 0), "", "lock"),
        (202, (0x55, 0x109, 0, 0), "", "shared lock"),
        (202, (0x55, 0x189, 0, 0x7F00), "", "timed lock"),
        (61, (0xFFFFFFFF,), "", "child"),
        (43, (3,), "", "accept"),
        (23, (1, 0, 0, 0, 0), "/dev/pts/3", "keyboard"),
        (7, (0, 2, 500), "", "timed poll"),
        (7, (0, 2, 0xFFFFFFFF), "", "poll"),
    ],
)
def test_a_wait_is_told_by_its_call(made, number, arguments, target, what) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.call(PID, number, *arguments)
    if target:
        made.fd(PID, 0 if number == 23 else arguments[0], target)
    assert waits(made).what == what
    if target:
        assert waits(made).target == target


def test_a_status_says_more_than_a_call(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.call(PID, 0, 0)
    assert [waits(made, letter).what for letter in "TtZR"] == [
        "stopped",
        "stopped",
        "dead",
        "running",
    ]


def test_a_sleep_says_how_long_it_still_lasts(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    end = int(time.monotonic()) + 100
    made.memory(PID, 0x2000, struct.pack("=qq", end, 0))
    made.call(PID, 230, 1, 1, 0x2000)
    left = waits(made).left_s
    assert waits(made).what == "sleep"
    assert left is not None
    assert 95 < left <= 100
    made.call(PID, 230, 0, 0, 0x2000)
    assert waits(made).left_s == end
    made.call(PID, 35, 0x9000)
    assert waits(made).left_s is None


def test_what_is_polled_is_read_from_its_memory(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.memory(PID, 0x1000, struct.pack("=ihhihh", 4, 1, 0, 5, 1, 0))
    made.fd(PID, 4, "pipe:[1]")
    made.fd(PID, 5, "pipe:[2]")
    made.call(PID, 7, 0x1000, 2, 0xFFFFFFFF)
    assert waits(made).what == "pipe"
    made.call(PID, 7, 0x1000, 1, 5000)
    assert waits(made) == Wait("timed poll", "poll", 4, "pipe:[1]")
    (made.root / str(PID) / "fd" / "5").unlink()
    made.fd(PID, 5, "/dev/pts/0")
    made.call(PID, 7, 0x1000, 2, 5000)
    assert waits(made).what == "keyboard"


def test_a_named_pipe_has_its_path(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.memory(PID, 0x1000, b"metrics\0rest" + bytes(2000))
    made.call(PID, 257, 0xFFFFFF9C, 0x1000)
    assert waits(made) == Wait("file", "openat", None, "metrics")


@pytest.mark.parametrize(
    ("kernel", "what"),
    [
        ("locks_lock_inode_wait", "file lock"),
        ("hrtimer_nanosleep", "sleep"),
        ("do_wait", "child"),
        ("anon_pipe_read", "pipe"),
        ("wait_woken", ""),
        ("0", ""),
    ],
)
def test_where_calls_cannot_be_read_the_kernels_name_helps(made, kernel, what) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.thread(PID, PID, wchan=kernel)
    assert waits(made) == Wait(what, kernel)


def test_a_look_leaves_out_what_cannot_be_read(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID, ticks=300)
    found = look(made.proc, PID, 0.01)
    assert found is not None
    assert (found.cpu_s, found.cpu_main_s) == (3.0, 3.0)
    assert (found.traffic, found.switches, found.queued_s) == (None, None, None)
    assert look(made.proc, 999, 0.01) is None


def test_a_look_counts_the_other_threads_by_their_waits(made) -> None:  # type: ignore[no-untyped-def]
    made.process(
        PID,
        io="rchar: 10\nwchar: 20\nread_bytes: 0\nwrite_bytes: 4096\n",
        status="S",
        schedstat="5 2000000000 3\n",
    )
    made.thread(PID, 8, wchan="do_wait")
    made.thread(PID, 9, wchan="do_wait")
    made.thread(PID, 10, status="R")
    found = look(made.proc, PID, 0.01)
    assert found is not None
    assert found.threads == {"child": 2, "running": 1}
    assert found.queued_s == 2.0
    assert found.traffic is not None
    assert (found.traffic.read, found.traffic.disk_written) == (10, 4096)


LOCKS = """\
1: FLOCK  ADVISORY  WRITE 123 {place}:{inode} 0 EOF
1: -> FLOCK  ADVISORY  WRITE 7 {place}:{inode} 0 EOF
2: POSIX  ADVISORY  READ 55 fe:00:77 0 EOF
3: OFDLCK ADVISORY  WRITE -1 00:06:1 0 EOF
nonsense
"""


def locked(made, path) -> None:  # type: ignore[no-untyped-def]
    facts = path.stat()
    import os

    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}"
    text = LOCKS.format(place=place, inode=facts.st_ino)
    (made.root / "locks").write_text(text)


def test_the_holder_of_a_lock(made, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.lock"
    path.touch()
    locked(made, path)
    assert [lock.waits for lock in locks.parse((made.root / "locks").read_text())] == [
        False,
        True,
        False,
        False,
    ]
    assert locks.holder(made.proc, str(path), PID) == 123
    assert locks.holder(made.proc, str(tmp_path / "gone"), PID) is None


def test_a_lock_that_is_asked_for_again_and_again(made, tmp_path) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    work = tmp_path / "work"
    work.mkdir()
    path = work / "model.lock"
    path.touch()
    locked(made, path)
    assert awaited(made.proc, PID, {PID}, "") is None
    made.fd(PID, 4, str(path))
    assert awaited(made.proc, PID, {PID}, "") == (str(path), 123)
    assert awaited(made.proc, PID, {PID, 123}, "") is None


def test_a_lock_that_another_holds_near_it(made, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import os

    made.process(PID)
    made.process(123)
    work = tmp_path / "work"
    work.mkdir()
    path = work / "model.lock"
    path.touch()
    locked(made, path)
    made.fd(123, 9, str(path))
    assert awaited(made.proc, PID, {PID}, "") is None
    os.symlink(work, made.root / str(PID) / "cwd")
    assert awaited(made.proc, PID, {PID}, "") == (str(path), 123)


def test_the_lock_of_a_build_that_the_output_named(made, tmp_path) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    folder = tmp_path / "torch_extensions"
    (folder / "fused_adam").mkdir(parents=True)
    assert awaited(made.proc, PID, {PID}, str(folder)) is None
    (folder / "fused_adam" / "lock").touch()
    assert awaited(made.proc, PID, {PID}, str(folder)) == (
        str(folder / "fused_adam" / "lock"),
        None,
    )


def test_the_peer_of_a_connection(made) -> None:  # type: ignore[no-untyped-def]
    folder = made.process(PID)
    (folder / "net").mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    line = " 0: 0100007F:A1B2 0100007F:1F90 01 00000000:00000000 00:00000000 00000000"
    (folder / "net" / "tcp").write_text(head + line + " 0 0 4711 1\n")
    assert sockets.peer(made.proc, PID, "socket:[4711]") == "tcp 127.0.0.1:8080"
    assert sockets.peer(made.proc, PID, "socket:[1]") == "socket:[1]"
    assert sockets.peer(made.proc, PID, "/a/path") == "/a/path"


def test_an_address_of_six_with_one_of_four_inside() -> None:
    mapped = "0000000000000000FFFF00000100007F:01BB"
    assert sockets.address(mapped) == "127.0.0.1:443"
    assert sockets.address("00000000000000000000000001000000:0050") == "[::1]:80"


def test_the_other_end_of_a_pipe(made) -> None:  # type: ignore[no-untyped-def]
    made.process(PID)
    made.process(8)
    made.fd(PID, 1, "pipe:[5]")
    assert other_end(made.proc, PID, "pipe:[5]") is None
    made.fd(8, 0, "pipe:[5]")
    assert other_end(made.proc, PID, "pipe:[5]") == 8


def test_memory_pressure(made) -> None:  # type: ignore[no-untyped-def]
    assert stalled(made.proc) is None
    (made.root / "pressure").mkdir()
    text = "some avg10=40.00 avg60=1.0 total=1\nfull avg10=31.50 avg60=1.0 total=1\n"
    (made.root / "pressure" / "memory").write_text(text)
    assert stalled(made.proc) == 31.5
