"""
Partial fine-tuning, or LoRA, with an address space that is limited.

    python limited.py MODEL partial     prints the limit that it sets itself: between
                                        what a backward and an optimizer step hold
    python limited.py MODEL lora LIMIT  under that limit, in bytes

The limit is set when training begins, after a rehearsal of one backward.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

LAYERS = 14
TOKENS = 48
STEPS = 3


def field(name: str) -> int:
    """`VmPeak` or `VmSize` of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise LookupError(name)


class Limit(TrainerCallback):
    """Limits the address space once it is known what a backward takes."""

    def __init__(self, given: int | None) -> None:
        self.given = given

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        limit = self.given
        if limit is None:
            ids = torch.zeros(1, TOKENS, dtype=torch.long)
            model(input_ids=ids, labels=ids).loss.backward()
            model.zero_grad(set_to_none=True)
            trained = [p for p in model.parameters() if p.requires_grad]
            state_bytes = 8 * sum(p.numel() for p in trained)
            limit = field("VmPeak") + state_bytes // 2
            print(f"limit {limit} state {state_bytes}", flush=True)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    folder, method = sys.argv[1:3]
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if method == "lora":
        config = LoraConfig(r=16, target_modules=["q_proj", "v_proj"])
        model = get_peft_model(model, config)
    else:
        model.requires_grad_(False)
        for layer in model.model.layers[-LAYERS:]:
            layer.requires_grad_(True)
    ids = torch.arange(TOKENS) + 100
    rows = [{"input_ids": ids, "labels": ids}] * STEPS
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=tempfile.mkdtemp(prefix="limited-"),
            max_steps=STEPS,
            per_device_train_batch_size=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=rows,
        callbacks=[Limit(int(sys.argv[3]) if method == "lora" else None)],
    )
    trainer.train()


if __name__ == "__main__":
    main()
