"""Dumps of stacks, as faulthandler and py-spy write them."""

from __future__ import annotations

import faulthandler
import tempfile
import threading

import pytest

from trainwatch.runner.threads import Frame, ordered, place, threads

DUMP = """\
Thread 0x00007f462e6fc6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait
  File "/v/lib/python3.11/site-packages/tqdm/_monitor.py", line 60 in run
  File "/usr/lib/python3.11/threading.py", line 1002 in _bootstrap

Thread 0x00007f462deef6c0 (most recent call first):
  File "/home/a/data.py", line 9 in prefetch
  File "/usr/lib/python3.11/threading.py", line 1002 in _bootstrap

Current thread 0x00007f462f26cb80 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait
  File "/v/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line 1 in _next
  File "/run/stage/_trainwatch_probes/loop.py", line 5 in hook
  File "/home/a/train.py", line 31 in collate
  File "/home/a/train.py", line 90 in main
  File "/home/a/train.py", line 99 in <module>
  ...
"""
SPIED = """\
Process 17191: python /home/a/train.py
Python v3.11.7 (/usr/bin/python3.11)

Thread 17193 (idle): "w"
    worker (/home/a/train.py:2)
    Thread.run (/usr/lib/python3.11/threading.py:982)
Thread 17191 (idle): "MainThread"
    Condition.wait (/usr/lib/python3.11/threading.py:327)
    deep (/home/a/train.py:4)
    <module> (/home/a/train.py:9)
"""


def test_the_main_thread_comes_first_and_the_users_frame_is_named() -> None:
    main, *others = threads(DUMP)
    assert main.current
    assert [frame.function for frame in main.users] == ["collate", "main", "<module>"]
    assert len(others) == 2
    assert (
        place(threads(DUMP)) == "train.py:31 in collate, there threading.py:327 in wait"
    )


def test_threads_in_the_users_code_come_before_a_librarys() -> None:
    text = ordered(threads(DUMP))
    assert text.index("collate") < text.index("prefetch") < text.index("_monitor")
    assert '  > File "/home/a/train.py", line 31 in collate' in text
    assert '    File "threading.py", line 327 in wait' in text
    assert '    File "torch/utils/data/dataloader.py", line 1 in _next' in text
    assert '    File "_trainwatch_probes/loop.py", line 5 in hook' in text
    assert text.count("[main]") == 1


def test_a_dump_of_py_spy_is_read_too() -> None:
    main, other = threads(SPIED)
    assert "MainThread" in main.title
    assert main.frames[1] == Frame("/home/a/train.py", 4, "deep")
    assert other.users[0].function == "worker"
    assert place(threads(SPIED)) == "train.py:4 in deep, there threading.py:327 in " + (
        "Condition.wait"
    )


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("/home/a/train.py", True),
        ("<string>", True),
        ("train.py", True),
        ("/home/a/lib/model.py", True),
        ("/usr/lib/python3.11/queue.py", False),
        ("/usr/lib/python3/dist-packages/x.py", False),
        ("/root/.pyenv/versions/3.13.0/lib/python3.13/threading.py", False),
        ("/v/lib/python3.11/site-packages/trl/trainer.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("/x/_trainwatch_probes/loop.py", False),
    ],
)
def test_whose_a_frame_is(file: str, users: bool) -> None:
    assert Frame(file, 1, "f").users is users


def test_without_code_of_the_users() -> None:
    dump = 'Thread 0x1 (most recent call first):\n  File "<frozen x>", line 1 in f\n'
    assert place(threads(dump)) == "no code of yours; <frozen x>:1 in f"
    assert place(threads("")) == "no Python frame"
    assert threads("garbage\n\n") == ()
    assert ordered(()) == ""


def test_a_real_dump() -> None:
    ready, done = threading.Event(), threading.Event()

    def wait_here() -> None:
        ready.set()
        done.wait()

    thread = threading.Thread(target=wait_here)
    thread.start()
    try:
        ready.wait()
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            file.seek(0)
            found = threads(file.read())
    finally:
        done.set()
        thread.join()
    functions = {frame.function for thread in found for frame in thread.users}
    assert {"wait_here", "test_a_real_dump"} <= functions
