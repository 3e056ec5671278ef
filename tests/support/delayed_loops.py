"""
A loop of one's own, plain or with Accelerate: each phase is slow in steps of its
own. Called with the file for what was slow, and `plain` or `accelerate`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from delayed_model import CONFIG, Llama, Slow, SlowAdamW, delays, doing, generate
from torch.utils.data import DataLoader, Dataset

PLACES = {
    "item": "fetch",
    "collate": "fetch",
    "forward": "forward",
    # Nothing marks a loss of one's own: it lies between two phases.
    "loss": "other",
    "backward": "backward",
    "clip": "clip",
    "optimizer": "optimizer",
    "between": "other",
}


class Items(Dataset):
    """Rows that may be slow to get."""

    def __len__(self) -> int:
        return 120

    def __getitem__(self, index: int) -> torch.Tensor:
        delays.busy("item")
        return torch.arange(index, index + 8) % 60 + 3


def collate(items: list[torch.Tensor]) -> torch.Tensor:
    delays("collate")
    return torch.stack(items)


def slowly(parameters):
    """Clipping asks for the first of `parameters`, and waits."""
    delays("clip")
    yield from parameters


def evaluate(model: torch.nn.Module) -> None:
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.tensor([[3, 4, 5]]))
        delays.every_other("evaluate")
    model.train()


def main() -> None:
    stack = sys.argv[2]
    model = Llama(CONFIG)
    generate(model, 6)
    optimizer = SlowAdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(Items(), batch_size=1, collate_fn=collate)
    backward, clip = torch.Tensor.backward, torch.nn.utils.clip_grad_norm_
    if stack == "accelerate":
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True)
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        backward, clip = accelerator.backward, accelerator.clip_grad_norm_

    steps = delays.begin(stack, PLACES)
    with tempfile.TemporaryDirectory() as folder:
        # The first save imports what saving needs.
        model.save_pretrained(f"{folder}/0")
        for step, ids in zip(range(1, steps + 1), loader, strict=False):
            loss = model(input_ids=ids, labels=ids).loss
            delays("loss")
            backward(Slow.apply(loss))
            delays("between")
            clip(slowly(model.parameters()), 1.0)
            optimizer.step()
            delays.end_step()
            optimizer.zero_grad()
            if step % 16 in (6, 14):
                # The next step's batch is slow in every other case.
                with delays.whole():
                    evaluate(model)
            if step % 5 == 0:
                with doing("save"), delays.whole():
                    model.save_pretrained(f"{folder}/{step}")
    delays.end()
    delays.write(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
