"""
A training on two ranks, or on one with loaders, as launchers start it.

`ranks.py ddp`, `accelerate`: a rank that a launcher started. `spawn`: starts two
ranks by torch.multiprocessing. `loaders`: reads by two workers, forked, then
spawned.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from typing import Any

import torch

STEPS = 4


class Rows(torch.utils.data.Dataset[Any]):
    """Each row warns, in whichever process reads it."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        warnings.warn(f"a row read by {os.getpid()}", stacklevel=1)
        return torch.full((8,), float(index))


def linear() -> Any:
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.001)


def ddp(**place: Any) -> None:
    torch.distributed.init_process_group("gloo", **place)
    model, _ = linear()
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for _ in range(STEPS):
        model(torch.ones(4, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.distributed.destroy_process_group()


def accelerate() -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(*linear())
    for _ in range(STEPS):
        accelerator.backward(model(torch.ones(4, 8)).square().mean())
        optimizer.step()
        optimizer.zero_grad()
    accelerator.end_training()


def one_of_two(rank: int, store: str) -> None:
    ddp(init_method=f"file://{store}", rank=rank, world_size=2)


def spawn() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        torch.multiprocessing.spawn(one_of_two, args=(store,), nprocs=2)


def loaders() -> None:
    model, optimizer = linear()
    for how in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(
            Rows(), batch_size=8, num_workers=2, multiprocessing_context=how
        )
        for batch in loader:
            model(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()


if __name__ == "__main__":
    {"ddp": ddp, "accelerate": accelerate, "spawn": spawn, "loaders": loaders}[
        sys.argv[1]
    ]()
