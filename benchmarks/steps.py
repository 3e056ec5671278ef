"""
The steps that `overhead.py` times: a random Llama under the Trainer, on the CPU.

Every arm runs this same script. The clock is from the end of a step to the end
of the next (`on_step_end`), so data, callbacks and logging are in it; the first
steps are dropped. Prints one line: `STEPS {json}`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

WARM_UP = 20
VOCABULARY = 512


class Rows(Dataset[Any]):
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(0, VOCABULARY, (self.length,), generator=generator)
        mask = torch.ones_like(ids)
        return {"input_ids": ids, "labels": ids.clone(), "attention_mask": mask}


class Clock(TrainerCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=args.hidden,
            intermediate_size=2 * args.hidden,
            num_hidden_layers=args.layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
        )
    )
    peer = os.environ.get("BENCH_PEER", "")
    clock = Clock()
    callbacks: list[Any] = [clock]
    if peer == "traceml":
        from traceml_ai.integrations import huggingface

        huggingface.init()
        callbacks.append(huggingface.TraceMLTrainerCallback())
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=out,
                max_steps=args.steps,
                per_device_train_batch_size=4,
                report_to="wandb" if peer == "wandb" else "none",
                logging_steps=10,
                save_strategy="no",
                use_cpu=True,
                disable_tqdm=True,
                learning_rate=1e-3,
            ),
            train_dataset=Rows(args.length),
            callbacks=callbacks,
        )
        trainer.train()
    if peer == "wandb":
        import wandb

        wandb.finish()
    seconds = clock.seconds[WARM_UP:]
    cuts = statistics.quantiles(seconds, n=100)
    row = {
        "median_ms": 1e3 * statistics.median(seconds),
        "p95_ms": 1e3 * cuts[94],
        "p99_ms": 1e3 * cuts[98],
        "mean_ms": 1e3 * statistics.fmean(seconds),
        "losses": [x["loss"] for x in trainer.state.log_history if "loss" in x],
    }
    line = "STEPS " + json.dumps(row)
    print(line, flush=True)
    if os.environ.get("BENCH_OUT"):
        with open(os.environ["BENCH_OUT"], "w") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
