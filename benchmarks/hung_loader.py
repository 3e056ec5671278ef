"""
A Trainer whose data set hangs at its 400th row, after about a hundred quick steps.

    python benchmarks/hung_loader.py

It makes the file `hung` when it begins to hang. `benchmarks/hung.py` watches it.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

CONFIG = LlamaConfig(
    vocab_size=512,
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
)


class Rows(torch.utils.data.Dataset[Any]):
    read = 0

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> dict[str, Any]:
        Rows.read += 1
        if Rows.read == 400:
            warnings.warn(
                "An output with one or more elements was resized since it had shape []",
                stacklevel=1,
            )
            Path("hung").touch()
            time.sleep(10**6)
        row = torch.randint(0, 512, (64,))
        return {"input_ids": row, "labels": row}


def main() -> None:
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            max_steps=1000,
            per_device_train_batch_size=4,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            logging_steps=10,
        )
        Trainer(LlamaForCausalLM(CONFIG), arguments, train_dataset=Rows()).train()


if __name__ == "__main__":
    main()
