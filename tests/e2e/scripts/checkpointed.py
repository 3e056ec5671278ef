"""
A frozen, checkpointed tower and a small adapter: `train` puts the adapter after the
tower, where the loss reaches it; `idle` inside it, where nothing does.

Both say "None of the inputs have requires_grad=True" at every step.
"""

from __future__ import annotations

import sys
import tempfile

import torch
from torch.utils.checkpoint import checkpoint
from transformers import Trainer, TrainingArguments


class Tower(torch.nn.Module):
    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.inside = inside
        self.frozen = torch.nn.Linear(8, 8).requires_grad_(False)
        self.adapter = torch.nn.Linear(8, 8)

    def _tower(self, x: torch.Tensor) -> torch.Tensor:
        x = self.frozen(x)
        return self.adapter(x) if self.inside else x

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = checkpoint(self._tower, x, use_reentrant=True)
        if not self.inside:
            x = self.adapter(x)
        loss = x.pow(2).mean()
        # What people write against "element 0 of tensors does not require grad".
        return {"loss": loss if loss.requires_grad else loss.requires_grad_()}


def main() -> None:
    torch.manual_seed(0)
    rows = [{"x": torch.randn(8)} for _ in range(32)]
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            output_dir=out,
            max_steps=6,
            per_device_train_batch_size=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        Trainer(Tower(sys.argv[1] == "idle"), arguments, train_dataset=rows).train()


if __name__ == "__main__":
    main()
