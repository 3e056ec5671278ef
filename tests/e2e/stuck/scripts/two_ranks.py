"""
Two ranks by gloo that do not agree: `two_ranks.py CASE` starts both. Needs torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

from mark import begins, case, main

STEPS = 6


def ranks() -> None:
    """Start this case again, once for each rank, as a launcher does."""
    store = os.path.abspath("store")
    both = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "STORE": store,
            },
        )
        for rank in range(2)
    ]
    sys.exit(max(rank.wait() for rank in both))


def training(steps: int) -> tuple[int, Any]:
    """Take `steps` steps together. Returns this rank, and torch.distributed."""
    import torch

    rank = int(os.environ["RANK"])
    group = torch.distributed
    group.init_process_group(
        "gloo", init_method=f"file://{os.environ['STORE']}", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for step in range(steps):
        model(torch.ones(4, 8)).square().mean().backward()
        for parameter in model.parameters():
            group.all_reduce(parameter.grad)
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(0.1)
        print("rank", rank, "step", step, flush=True)
    return rank, group


@case
def barrier_of_one() -> None:
    """Rank 0 is in a barrier, rank 1 waits for something else."""
    rank, group = training(STEPS)
    if rank == 0:
        begins("saving")
        group.barrier()
    threading.Event().wait()


@case
def one_step_less() -> None:
    """Rank 1 has a batch less and waits at the end; rank 0 is in its last step."""
    rank, group = training(STEPS)
    if rank == 0:
        import torch

        begins("the last step")
        model = torch.nn.Linear(8, 1)
        model(torch.ones(4, 8)).square().mean().backward()
        group.all_reduce(model.weight.grad)
    threading.Event().wait()


@case
def rank_killed() -> None:
    """Rank 1 is killed; rank 0 waits for it outside of any collective."""
    rank, _ = training(STEPS)
    if rank == 1:
        os.kill(os.getpid(), 9)
    begins("waiting for rank 1")
    threading.Event().wait()


# --- that end by themselves ---


@case
def one_evaluates() -> None:
    """Rank 0 evaluates for 40 s, rank 1 waits in a barrier."""
    rank, group = training(STEPS)
    if rank == 0:
        begins("evaluating on rank 0")
        end = time.monotonic() + 40
        while time.monotonic() < end:
            sum(range(10_000))
    group.barrier()
    group.destroy_process_group()


if __name__ == "__main__":
    if "RANK" in os.environ:
        main()
    else:
        ranks()
