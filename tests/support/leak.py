"""A loop that keeps 50 MB a step, with an address space that ends."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch

LEAK = 50_000_000
ROOM = 3_000_000_000
STEP_S = 0.3


def mapped() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            return 1024 * int(line.split()[1])
    raise LookupError("VmSize")


def main() -> None:
    model = torch.nn.Linear(64, 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = []
    step = 0
    limit = mapped() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        while True:
            model(torch.randn(8, 64)).pow(2).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            kept.append(torch.empty(LEAK, dtype=torch.uint8))
            time.sleep(STEP_S)
    except RuntimeError as error:
        print(f"died at step {step}: {error}", flush=True)
        kept.clear()
        sys.exit(1)


if __name__ == "__main__":
    main()
