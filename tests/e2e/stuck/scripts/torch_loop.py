"""
A small plain training loop in which one thing is odd: `torch_loop.py CASE [SECONDS]`.
Needs torch, nothing else.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import torch
from mark import begins, case, main
from torch.utils.data import DataLoader, Dataset

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
WARM = 8
"""Steps before something is odd."""


class Rows(Dataset[Any]):
    """Rows whose loading may be odd."""

    def __init__(self, count: int, odd: Any = None) -> None:
        self.count = count
        self.odd = odd

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if self.odd is not None:
            self.odd(index)
        return torch.full((8,), float(index % 7))


def loop(batches: Any, forward: Any = None) -> None:
    """One step for each batch; `forward(step, batch)` runs inside of the model."""
    model = Model(forward)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for step, batch in enumerate(batches):
        model(step, batch).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            print("step", step, flush=True)


class Model(torch.nn.Module):
    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 1)
        self.extra = forward

    def forward(self, step: int, batch: Any) -> Any:
        if self.extra is not None:
            self.extra(step, batch)
        return self.linear(batch)


def paced(count: int, seconds: float = 0.1) -> Any:
    """Batches that come at an even pace."""
    for index in range(count):
        time.sleep(seconds)
        yield torch.full((4, 8), float(index % 7))


# --- the data ---


@case
def loader_worker_hangs() -> None:
    """A DataLoader worker never comes back from a row."""

    lock = threading.Lock()

    def odd(index: int) -> None:
        if index == 4 * WARM:
            lock.acquire()
            begins("a row that never comes")
            lock.acquire()

    loop(DataLoader(Rows(1000, odd), batch_size=4, num_workers=1))


@case
def loader_worker_killed() -> None:
    """The kernel kills a DataLoader worker."""

    def odd(index: int) -> None:
        if index == 4 * WARM:
            begins("a worker is killed")
            os.kill(os.getpid(), signal.SIGKILL)

    loop(DataLoader(Rows(1000, odd), batch_size=4, num_workers=1))


@case
def row_hangs() -> None:
    """A row that never comes, read by the training process itself."""

    storage, program = socket.socketpair()

    def odd(index: int) -> None:
        if index == 4 * WARM:
            begins("a row that never comes")
            program.recv(1)

    loop(DataLoader(Rows(1000, odd), batch_size=4))
    storage.close()


@case
def data_grows_slow() -> None:
    """From step 30 on a batch takes 40 times as long."""

    def odd(index: int) -> None:
        if index == 4 * 30:
            begins("slow storage")
        time.sleep(0.025 if index < 4 * 30 else 1.0)

    loop(DataLoader(Rows(10**6, odd), batch_size=4))


@case
def forward_grows_slow() -> None:
    """From step 30 on the forward takes 40 times as long."""

    def forward(step: int, batch: Any) -> None:
        if step == 30:
            begins("throttled")
        time.sleep(0.1 if step < 30 else 4.0)

    loop(paced(10**6, 0.01), forward)


# --- computing without an end ---


@case
def endless_forward() -> None:
    """An endless loop inside of the forward."""

    def forward(step: int, batch: Any) -> None:
        if step == WARM:
            begins("packing")
            while True:
                pass

    loop(paced(1000), forward)


# --- that end by themselves ---


@case
def long_step() -> None:
    """One step of a minute: a product of big matrices."""

    def forward(step: int, batch: Any) -> None:
        if step == WARM:
            begins("a long step")
            end = time.monotonic() + SECONDS
            matrix = torch.ones(2500, 2500)
            while time.monotonic() < end:
                matrix @ matrix

    loop(paced(2 * WARM), forward)


@case
def long_first_step() -> None:
    """The first step takes hundreds of times as long as the others."""

    def forward(step: int, batch: Any) -> None:
        if step == 0:
            begins("autotuning")
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                sum(range(1000))

    loop(paced(5 * WARM), forward)


@case
def slow_rows() -> None:
    """1.5 s for each row by a worker that sleeps: slow, and healthy."""
    begins("training")
    loop(DataLoader(Rows(28, lambda _: time.sleep(1.5)), batch_size=2, num_workers=1))


@case
def long_save() -> None:
    """A checkpoint of 200 MB into a file that takes 4 MB/s."""

    class Slow:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: Any) -> int:
            view = memoryview(data).cast("B")
            for start in range(0, len(view), 1 << 20):
                self.file.write(view[start : start + (1 << 20)])
                os.fsync(self.file.fileno())
                time.sleep(0.25)
            return len(view)

        def flush(self) -> None:
            self.file.flush()

    loop(paced(2 * WARM))
    os.makedirs("out", exist_ok=True)
    begins("saving")
    with open("out/checkpoint.pt", "wb", buffering=0) as file:
        torch.save({str(n): torch.zeros(2_500_000) for n in range(16)}, Slow(file))
    loop(paced(WARM))


@case
def memory_refused() -> None:
    """A tensor that this machine cannot hold."""
    loop(paced(WARM))
    begins("evaluating")
    torch.zeros(1 << 50)


@case
def no_cuda() -> None:
    """The script asks for a device that is not there."""
    begins("moving the model")
    torch.nn.Linear(8, 8).to("cuda")


if __name__ == "__main__":
    main()
