"""
What `trainwatch fit` predicts against what a run holds: small Llamas on the CPU.

Each case trains for two optimizer steps with the Trainer of transformers, and the
allocator's own events (`torch.profiler`) give the most bytes of tensors that lived at
once. Then the same plan is simulated. Exit code 1 where a case is off by over 2 %.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ACCELERATE_USE_CPU", "true")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from trainwatch.runner.fit.build import trained_model, trainer_of
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulate import simulate

ALLOWED = 0.02
CONFIG = {
    "model_type": "llama",
    "vocab_size": 4000,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
METHODS = ("lora", "partial", "full")
OPTIMIZERS = (
    "adamw-for-loop",
    "adamw-foreach",
    "adamw-fused",
    "sgd",
    "sgd-momentum",
    "adafactor",
    "adafactor-torch",
)


def plans() -> list[Plan]:
    """
    Every combination, the way of attention changing from one to the next; then the
    loss of TRL, and other optimizers.
    """
    found = []
    every = itertools.product(
        METHODS,
        OPTIMIZERS,
        (False, True),
        ("fp32", "bf16"),
        (1, 2),
    )
    for number, (method, optimizer, checkpointing, dtype, accumulate) in enumerate(
        every
    ):
        found.append(
            Plan(
                CONFIG,
                method=method,
                layers=2,
                lm_head=True,
                batch=2,
                seq=128,
                dtype=dtype,
                optimizer=optimizer,
                accumulate=accumulate,
                gradient_checkpointing=checkpointing,
                attention=("flash", "math")[number // 3 % 2],
            )
        )
    for method, optimizer, trainer, checkpointing in (
        *itertools.product(METHODS, ("adamw-fused",), ("trl",), (False, True)),
        *itertools.product(METHODS, ("rmsprop", "adagrad"), ("hf",), (False,)),
    ):
        found.append(
            replace(
                found[0],
                method=method,
                optimizer=optimizer,
                trainer=trainer,
                gradient_checkpointing=checkpointing,
            )
        )
    return found


FEW = (
    dict(method="lora", dtype="bf16", optimizer="adamw-fused", attention="math"),
    dict(method="partial", optimizer="adamw-for-loop", lm_head=True, accumulate=2),
    dict(method="full", dtype="bf16", optimizer="adamw-foreach", attention="flash"),
    dict(method="full", optimizer="adafactor", gradient_checkpointing=True),
)


def measure(plan: Plan) -> int:
    """
    The most bytes of tensors at once in a real run of this plan.
    """
    model = trained_model(plan)
    held = {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
        for tensor in (*model.parameters(), *model.buffers())
    }
    count = 2 * plan.accumulate * plan.batch
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, CONFIG["vocab_size"], (count, plan.seq), generator=generator)
    rows = [
        {
            "input_ids": row.tolist(),
            "labels": row.tolist(),
            "attention_mask": [1] * plan.seq,
        }
        for row in ids
    ]
    backends = [SDPBackend.MATH]
    if plan.attention == "flash":
        backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(
            plan,
            model,
            folder,
            rows,
            max_steps=2,
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        # What the last case left must not be freed while this one is measured.
        gc.collect()
        with (
            redirect_stdout(sys.stderr),
            sdpa_kernel(backends),
            profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded,
        ):
            trainer.train()
    now = most = 0
    events = recorded.profiler.kineto_results.events()
    moves = [event for event in events if event.name() == "[memory]"]
    for event in sorted(moves, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return sum(held.values()) + most


def row(plan: Plan, measured: int, answer: dict[str, Any]) -> dict[str, Any]:
    top = max(answer["peaks"], key=lambda peak: peak["bytes"])
    return {
        "method": plan.method,
        "optimizer": plan.optimizer,
        "checkpointing": plan.gradient_checkpointing,
        "dtype": plan.dtype,
        "accumulate": plan.accumulate,
        "attention": plan.attention,
        "trainer": plan.trainer,
        "by": answer["method"],
        "where": f"step {top['step']} {top['phase']}",
        "measured": measured,
        "predicted": top["bytes"],
        "error": top["bytes"] / measured - 1,
    }


def line(found: dict[str, Any]) -> str:
    checkpointing = "yes" if found["checkpointing"] else "no"
    return (
        f"{found['method']:<8}{found['optimizer']:<16}{checkpointing:<4}"
        f"{found['dtype']:<5}{found['accumulate']:<2}{found['attention']:<6}{found['trainer']:<4}"
        f"{found['measured'] / 1e6:>9.2f}{found['predicted'] / 1e6:>9.2f} MB"
        f"{100 * found['error']:>+8.3f} %  {found['where']} ({found['by']})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", action="store_true", help="four cases only")
    parser.add_argument("--every", type=int, default=1, help="one case in so many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="its number")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    chosen = plans()[options.first :: options.every]
    if options.few:
        common = {"config": CONFIG, "layers": 2, "batch": 2, "seq": 128}
        chosen = [Plan(**{"dtype": "fp32", **common, **case}) for case in FEW]
    out = sys.stderr if options.json else sys.stdout
    print("method  optimizer       gc  type a attn  loss  measured predicted", file=out)
    found = []
    for plan in chosen:
        found.append(row(plan, measure(plan), simulate(plan)))
        print(line(found[-1]), file=out, flush=True)
    worst = max(found, key=lambda case: abs(case["error"]))
    print(f"\n{len(found)} cases, the worst:\n{line(worst)}", file=out)
    if options.json:
        print(json.dumps(found))
    off = [case for case in found if abs(case["error"]) > ALLOWED]
    formula = [case for case in found if case["by"] != "simulation"]
    sys.exit(1 if off or formula else 0)


if __name__ == "__main__":
    main()
