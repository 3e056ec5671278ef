"""
Programs that compute, write or read, some for ever. `computing.py CASE [SECONDS]`;
nothing but Python is needed.
"""

from __future__ import annotations

import gc
import hashlib
import mmap
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from mark import begins, case, main

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 45.0


def until_late() -> float:
    return time.monotonic() + SECONDS


# --- without an end ---


@case
def endless_loop() -> None:
    begins("packing the rows")
    row = 0
    while True:
        row = row + 1 if row < 100 else 0


@case
def spin_wait() -> None:
    """Asks again and again, as a device is waited for."""
    begins("synchronizing")
    while True:
        time.sleep(0)


@case
def regex_in_c() -> None:
    """C code that keeps the interpreter to itself."""
    begins("cleaning the text")
    re.match(r"(a+)+$", "a" * 60 + "b")


# --- that end by themselves ---


@case
def silent_python() -> None:
    """Counts tokens in pure Python and prints nothing."""
    begins("counting untrained tokens")
    end, count = until_late(), 0
    while time.monotonic() < end:
        count += sum(range(10_000))
    print(count, flush=True)


@case
def silent_c() -> None:
    """One call in C that keeps the interpreter to itself, again and again."""
    begins("hashing the data set")
    end = until_late()
    while time.monotonic() < end:
        pow(3, 10**6)


@case
def hash_in_c() -> None:
    """One call in C that lets other threads run."""
    begins("deriving")
    rounds, end = 200_000, until_late()
    while time.monotonic() < end:
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", rounds)


@case
def lengths() -> None:
    """`group_by_length`: 5 ms for each row, no word."""
    begins("reading lengths")
    end = until_late()
    while time.monotonic() < end:
        time.sleep(0.005)


@case
def collecting_garbage() -> None:
    """Full collections of a big heap, one after another."""
    heap = [[index] for index in range(2_000_000)]
    begins("evaluating")
    end = until_late()
    while time.monotonic() < end:
        gc.collect()
    print(len(heap), flush=True)


@case
def slow_import() -> None:
    """A module that takes long to import."""
    Path("long_import.py").write_text(
        "import time\nend = time.monotonic() + "
        f"{SECONDS}\nwhile time.monotonic() < end: sum(range(1000))\n"
    )
    sys.path.insert(0, os.getcwd())
    begins("importing")
    __import__("long_import")


@case
def threads_compute() -> None:
    """The main thread only joins."""

    def work() -> None:
        silent_python()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@case
def compilers() -> None:
    """Ninja and a compiler work, the script waits for them."""
    work = f"import time\nend = time.monotonic() + {SECONDS}\n"
    work += "while time.monotonic() < end: sum(range(1000))"
    os.symlink(os.path.realpath(sys.executable), "cc1plus")
    begins("Emitting ninja build file build.ninja...")
    subprocess.run(["./cc1plus", "-I", "-c", work], check=True)


@case
def slow_save() -> None:
    """A checkpoint of 90 MB at 2 MB/s: each piece is on the disk before the next."""
    folder = Path("out", "checkpoint-10")
    folder.mkdir(parents=True)
    begins("saving")
    end = until_late()
    with open(folder / "model.bin", "wb", buffering=0) as file:
        while time.monotonic() < end:
            file.write(b"\0" * 1_000_000)
            os.fsync(file.fileno())
            time.sleep(0.5)


@case
def random_reads() -> None:
    """Weights in a mapped file, touched at random and never kept: page faults."""
    size = 128 << 20
    with open("weights.bin", "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    begins("loading the weights")
    end, total = until_late(), 0
    with (
        open("weights.bin", "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        while time.monotonic() < end:
            mapped.madvise(mmap.MADV_DONTNEED)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for _ in range(500):
                total += mapped[random.randrange(size)]
    os.unlink("weights.bin")
    print(total, flush=True)


@case
def flood() -> None:
    """Prints as much as the terminal takes."""
    begins("training")
    end = until_late()
    while time.monotonic() < end:
        for row in range(2000):
            sys.stdout.write(f"row {row} of the batch was tokenized again\n")
        time.sleep(0.05)


@case
def steps() -> None:
    """A step a second, in a busy machine or not."""
    begins("training")
    end, step = until_late(), 0
    while time.monotonic() < end:
        sum(range(3_000_000))
        step += 1
        print("step", step, "loss", round(2 / step, 3), flush=True)
        time.sleep(0.3)


@case
def short() -> None:
    """Over before anybody looks."""
    begins("done")


if __name__ == "__main__":
    main()
