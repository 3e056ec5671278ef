"""
Programs that work with processes of their own: pools, queues, semaphores.
`workers.py CASE`; nothing but Python is needed.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

from mark import begins, case, main

fork = multiprocessing.get_context("fork")


def killed_at_three(row: int) -> int:
    if row == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return row


def blocked_at_three(row: int) -> int:
    if row == 3:
        threading.Event().wait()
    return row


@case
def pool_worker_killed() -> None:
    """A worker of a Pool is killed; `map` waits for its result for ever."""
    with fork.Pool(2) as pool:
        begins("Map (num_proc=2)")
        print(pool.map(killed_at_three, range(8), chunksize=1))


@case
def pool_worker_blocked() -> None:
    """A worker of a Pool waits for ever in its row."""
    with fork.Pool(2) as pool:
        begins("Map (num_proc=2)")
        print(pool.map(blocked_at_three, range(8), chunksize=1))


@case
def queue_of_a_dead_worker() -> None:
    """The worker that should fill the queue was killed."""
    batches: Any = fork.Queue()

    def fill() -> None:
        batches.put(0)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    fork.Process(target=fill, daemon=True).start()
    print("batch", batches.get(), flush=True)
    begins("waiting for batch 1")
    batches.get()


@case
def join_before_the_queue_is_read() -> None:
    """`join` of a worker that still has to put its rows into a full queue."""
    rows: Any = fork.Queue()

    def fill() -> None:
        for _ in range(1000):
            rows.put(b"x" * 10_000)

    worker = fork.Process(target=fill)
    worker.start()
    begins("joining the tokenizer")
    worker.join()


@case
def semaphore_of_a_dead_worker() -> None:
    """A worker was killed between acquire and release."""
    one = fork.Semaphore(1)

    def hold() -> None:
        one.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    worker = fork.Process(target=hold)
    worker.start()
    worker.join()
    begins("waiting for the device")
    one.acquire()


@case
def worker_stopped() -> None:
    """A worker is stopped (SIGSTOP) while its parent waits for it."""

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    worker = fork.Process(target=stop)
    worker.start()
    begins("waiting for the worker")
    worker.join()


# --- that end by themselves ---


def hashed(seconds: float) -> str:
    """Computes for so long."""
    digest = hashlib.sha256()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        digest.update(b"x" * 100_000)
    return digest.hexdigest()


@case
def pool_busy() -> None:
    """One shard is ten times the others: a worker computes, the parent waits."""
    with fork.Pool(2) as pool:
        begins("Map (num_proc=2)")
        print(pool.map(hashed, [4, 40, 4], chunksize=1), file=sys.stderr)


@case
def pool_rate_limited() -> None:
    """Workers that ask an API: little CPU, rows keep coming."""
    with fork.Pool(2) as pool:
        begins("Map (num_proc=2)")
        for row in pool.imap(_slow, range(150)):
            if row % 50 == 0:
                print(row, flush=True)


def _slow(row: int) -> int:
    time.sleep(0.5)
    return row


if __name__ == "__main__":
    main()
