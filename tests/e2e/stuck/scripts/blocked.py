"""
Programs that wait for something inside the machine: locks, threads, pipes, children,
files. `blocked.py CASE`; nothing but Python is needed.
"""

from __future__ import annotations

import fcntl
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mark import begins, case, main

PYTHON = sys.executable


# --- threads ---


@case
def lock_twice() -> None:
    """A lock that is not reentrant is taken again by its holder."""
    lock = threading.Lock()

    def save() -> None:
        with lock:
            print("never printed")

    with lock:
        begins("saving")
        save()


@case
def lock_order() -> None:
    """Two threads take two locks, each in its own order."""
    left, right = threading.Lock(), threading.Lock()
    both = threading.Barrier(2)

    def take(first: threading.Lock, second: threading.Lock) -> None:
        with first:
            both.wait()
            with second:
                print("never printed")

    threads = [
        threading.Thread(target=take, args=order)
        for order in ((left, right), (right, left))
    ]
    for thread in threads:
        thread.start()
    begins("joining the loggers")
    for thread in threads:
        thread.join()


@case
def queue_never_filled() -> None:
    """The thread that fills the queue died of an error."""
    batches: queue.Queue[int] = queue.Queue()

    def fill() -> None:
        for index in range(3):
            batches.put(index)
        raise ValueError("row 3 is not a number")

    threading.Thread(target=fill, daemon=True).start()
    for index in range(10):
        if index == 3:
            begins("waiting for batch 3")
        print("batch", batches.get(), flush=True)


@case
def condition_without_notify() -> None:
    """Nobody notifies the condition."""
    ready = threading.Condition()
    begins("waiting until the buffer is ready")
    with ready:
        ready.wait()


@case
def join_never_ends() -> None:
    """Training is done; the logger's thread waits for an event nobody sets."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="logger")
    thread.start()
    begins("training done, waiting for the logger")
    thread.join()


@case
def futures_of_each_other() -> None:
    """A task of a full thread pool waits for another task of the same pool."""
    pool = ThreadPoolExecutor(max_workers=1)

    def outer() -> int:
        return pool.submit(int, "1").result()

    begins("tokenizing")
    print(pool.submit(outer).result())


# --- forks ---


@case
def fork_with_held_lock() -> None:
    """A thread holds a lock while the process forks; the child wants the lock."""
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            time.sleep(10**6)

    threading.Thread(target=hold, daemon=True).start()
    time.sleep(0.2)
    pid = os.fork()
    if pid == 0:
        lock.acquire()
        os._exit(0)
    begins("Map (num_proc=2):   0%|          | 0/2")
    os.waitpid(pid, 0)


@case
def fork_after_threads() -> None:
    """A pool of threads is copied by fork: its queue is, its threads are not."""
    pool = ThreadPoolExecutor(max_workers=2)
    list(pool.map(str, range(4)))
    pid = os.fork()
    if pid == 0:
        pool.submit(str, 1).result()
        os._exit(0)
    begins("encoding in a worker")
    os.waitpid(pid, 0)


# --- pipes and children ---


@case
def pipe_not_read() -> None:
    """`wait` for a child whose output nobody reads: the pipe is full."""
    code = "import sys\nfor _ in range(10**6): sys.stdout.write('x' * 4096)"
    child = subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE)
    begins("waiting for the converter")
    child.wait()


@case
def child_hangs() -> None:
    """A tool that is waited for does nothing any more."""
    code = "import threading; threading.Event().wait()"
    child = subprocess.Popen([PYTHON, "-c", code])
    begins("waiting for the tool")
    child.wait()


@case
def fifo_without_writer() -> None:
    """Opening a named pipe that nobody writes."""
    os.mkfifo("metrics")
    begins("opening metrics")
    print(Path("metrics").read_text())


# --- locks on files ---


@case
def flock_held() -> None:
    """Another process holds the lock of the cache."""
    Path("cache").mkdir(exist_ok=True)
    with open("cache/model.lock", "w") as file:
        begins("preparing the model")
        fcntl.flock(file, fcntl.LOCK_EX)


@case
def flock_polled() -> None:
    """The same, as `filelock` does: it asks again and again."""
    Path("cache").mkdir(exist_ok=True)
    with open("cache/model.lock", "w") as file:
        begins("preparing the model")
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.05)


@case
def record_lock_held() -> None:
    """Another process holds a lock by `fcntl`, as SQLite takes them."""
    Path("cache").mkdir(exist_ok=True)
    with open("cache/model.lock", "r+") as file:
        begins("opening the database")
        fcntl.lockf(file, fcntl.LOCK_EX)


@case
def lock_file_of_a_dead_build() -> None:
    """
    A build was killed and its lock file is still there; as torch's FileBaton waits.
    """
    folder = Path("torch_extensions", "fused_adam")
    folder.mkdir(parents=True)
    gone = subprocess.Popen([PYTHON, "-c", ""])
    gone.wait()
    (folder / "lock").write_text(str(gone.pid))
    begins(f"Using {folder.parent.absolute()} as PyTorch extensions root...")
    while (folder / "lock").exists():
        time.sleep(0.1)


# --- sockets ---


@case
def peer_says_nothing() -> None:
    """A parameter server that accepts and never answers."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        begins("waiting for the server")
        connection.recv(1)


@case
def download_stops() -> None:
    """A download that stops at 99 %; the server runs beside it."""
    _download("stops")


@case
def download_trickles() -> None:
    """A download at 20 kB/s that ends."""
    _download("trickles")


def _download(how: str) -> None:
    port = _text("port")
    begins("Downloading model.safetensors")
    address = f"http://127.0.0.1:{port}/{how}"
    with (
        urllib.request.urlopen(address) as answer,
        open("model.safetensors", "wb", buffering=0) as file,
    ):
        while data := answer.read1(1 << 16):
            file.write(data)
    print("downloaded", file.name, flush=True)


def _text(name: str) -> str:
    """What the program beside has written into the file `name`."""
    while not (path := Path(name)).exists() or not path.read_text():
        time.sleep(0.05)
    return path.read_text()


# --- that end by themselves ---


@case
def lock_let_go() -> None:
    """A lock that is free again after 20 s."""
    _text("held")
    Path("cache").mkdir(exist_ok=True)
    with open("cache/model.lock", "w") as file:
        begins("preparing the model")
        fcntl.flock(file, fcntl.LOCK_EX)
    print("got it", flush=True)


@case
def sleeping_callback() -> None:
    """Steps with a callback between them that waits for a quota and goes on."""
    begins("training")
    for step in range(3):
        time.sleep(1)
        print("step", step, flush=True)
    time.sleep(40)
    for step in range(3, 6):
        time.sleep(1)
        print("step", step, flush=True)


@case
def idle_server() -> None:
    """Nothing to do but a line now and then."""
    reader, writer = os.pipe()
    begins("serving")
    for _ in range(8):
        select.select([reader], [], [], 5)
        print("no request in 5 s", flush=True)
    os.close(reader)
    os.close(writer)


@case
def upload_at_the_end() -> None:
    """Training is done, the logger uploads for 30 s: bytes keep moving."""
    left, right = socket.socketpair()

    def receive() -> None:
        while right.recv(1 << 16):
            pass

    thread = threading.Thread(target=receive)
    thread.start()
    begins("Waiting for W&B process to finish...")
    for _ in range(60):
        left.sendall(b"x" * 20_000)
        time.sleep(0.5)
    left.close()
    thread.join()
    right.close()


if __name__ == "__main__":
    main()
