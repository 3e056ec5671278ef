"""
Preference tuning with LoRA: TRL's DPOTrainer. The docstring that belongs to a
question is chosen, the docstring of something else is rejected.

    python examples/dpo.py
    python examples/dpo.py --model path/to/model --steps 200 --out outputs/dpo
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from docstrings import pairs
from peft import LoraConfig
from samples import Samples
from tiny import model_folder
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import DPOConfig, DPOTrainer


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Preference tuning with LoRA.")
    parser.add_argument("--model", type=Path, help="a model folder; else a tiny one")
    parser.add_argument("--out", type=Path, help="output folder; else a temporary one")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--max-length", type=int, default=96)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--sample-every", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from --out")
    args = parser.parse_args()
    if args.resume and not args.out:
        parser.error("--resume needs the --out of the run to resume")
    return args


def preferences(limit: int, seed: int) -> Dataset:
    """Rows of {"prompt", "chosen", "rejected"}, each a list of messages."""
    found = pairs(limit, seed)
    others = found[1:] + found[:1]
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": question}],
                "chosen": [{"role": "assistant", "content": answer}],
                "rejected": [{"role": "assistant", "content": other}],
            }
            for (question, answer), (_, other) in zip(found, others, strict=True)
        ]
    )


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    out = args.out or Path(tempfile.mkdtemp(prefix="dpo-"))
    cuda = torch.cuda.is_available()
    cpu = not cuda and not torch.backends.mps.is_available()

    folder = args.model or model_folder(out / "model", args.seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=torch.bfloat16 if cuda else torch.float32
    )

    rows = preferences(args.rows, args.seed)
    questions = [prompt[0]["content"] for prompt in rows["prompt"][:2]]

    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(out),
            max_steps=args.steps,
            per_device_train_batch_size=args.batch_size,
            gradient_accumulation_steps=args.accumulate,
            max_length=args.max_length,
            learning_rate=args.learning_rate,
            beta=args.beta,
            logging_steps=1,
            save_steps=max(1, args.steps // 3),
            report_to="none",
            seed=args.seed,
            bf16=cuda,
            use_cpu=cpu,
        ),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=args.rank,
            lora_alpha=2 * args.rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[Samples(tokenizer, questions, args.sample_every)],
    )
    trainer.model.print_trainable_parameters()
    trainer.train(resume_from_checkpoint=args.resume or None)
    trainer.save_model(str(out / "adapter"))
    print(f"The adapter is in {out / 'adapter'}")


if __name__ == "__main__":
    main()
