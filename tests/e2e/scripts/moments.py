"""
A training that stays in one moment for long: `moments.py MOMENT OUT`.

MOMENT is import, load, map, step, save, evaluate, generate or hung. `save:FILE` stops
for HOLD_S in the middle of writing the first file of a checkpoint whose name begins
so. Every moment is told on stdout when it begins.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time

MOMENT, OUT = sys.argv[1:3]
HOLD_S = float(os.environ.get("HOLD_S", "3"))
LONG_S = 60.0


def at(moment: str) -> None:
    print(f"at {moment}", flush=True)


if MOMENT == "import":
    at("import")

import safetensors.torch  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
whole, weights = torch.save, safetensors.torch.save_file
held = []


def in_two(data: bytes, path: object) -> None:
    """Write `data`, with a long pause in the middle the first time."""
    with open(os.fspath(path), "wb") as file:  # type: ignore[call-overload]
        file.write(data[: len(data) // 2])
        file.flush()
        if not held:
            held.append(path)
            at("save")
            time.sleep(HOLD_S)
        file.write(data[len(data) // 2 :])


def is_held(path: object) -> bool:
    name = (
        os.path.basename(os.fspath(path))
        if isinstance(path, (str, os.PathLike))
        else ""
    )
    return MOMENT.startswith("save:") and name.startswith(MOMENT[5:])


def save(obj: object, f: object, *args: object, **more: object) -> None:
    if not is_held(f):
        return whole(obj, f, *args, **more)
    buffer = io.BytesIO()
    whole(obj, buffer, *args, **more)
    return in_two(buffer.getvalue(), f)


def save_file(tensors: object, filename: object, metadata: object = None) -> None:
    if not is_held(filename):
        return weights(tensors, filename, metadata=metadata)
    return in_two(safetensors.torch.save(tensors, metadata=metadata), filename)


torch.save = save
safetensors.torch.save_file = save_file

from datasets import Dataset  # noqa: E402
from transformers import (  # noqa: E402
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

set_seed(0)
config = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=4096,
    eos_token_id=None,
)
model = LlamaForCausalLM(config)
if MOMENT == "load":
    model.save_pretrained(OUT + "/model")
    at("load")
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        model = LlamaForCausalLM.from_pretrained(OUT + "/model")


def row(entry: dict) -> dict:
    if MOMENT == "map":
        time.sleep(0.05)
    ids = [entry["n"] % 64] * 16
    return {"input_ids": ids, "labels": ids}


rows = Dataset.from_dict({"n": list(range(2000 if MOMENT == "map" else 64))})
if MOMENT == "map":
    at("map")
rows = rows.map(row, num_proc=2 if MOMENT == "map" else None, remove_columns=["n"])


class Moments(TrainerCallback):
    def on_step_begin(self, args, state, control, **more):
        # A step of a tiny model is too short to be met.
        time.sleep(0.15)
        if MOMENT == "step" and state.global_step == 2:
            at("step")

    def on_step_end(self, args, state, control, **more):
        if state.global_step == 2 and MOMENT == "generate":
            at("generate")
            for _ in range(2):
                model.generate(torch.ones(1, 4, dtype=torch.long), max_new_tokens=600)
        if state.global_step == 2 and MOMENT == "hung":
            at("hung")
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()

    def on_prediction_step(self, args, state, control, **more):
        time.sleep(0.1)


class Told(Trainer):
    def evaluate(self, *args, **more):
        at("evaluate")
        return super().evaluate(*args, **more)


Told(
    model=model,
    args=TrainingArguments(
        output_dir=OUT,
        max_steps=400,
        per_device_train_batch_size=2,
        logging_steps=1,
        save_steps=2,
        eval_strategy="steps" if MOMENT == "evaluate" else "no",
        eval_steps=3,
        per_device_eval_batch_size=2,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=rows,
    eval_dataset=rows.select(range(40)),
    callbacks=[Moments()],
).train(resume_from_checkpoint=os.environ.get("RESUME"))
