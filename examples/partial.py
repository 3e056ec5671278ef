"""
Partial fine-tuning: Transformers' Trainer on the last layers, all else frozen.

    python examples/partial.py
    python examples/partial.py --model path/to/model --layers 4 --out outputs/partial
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from docstrings import chats
from samples import Samples
from tiny import model_folder
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the last layers of a model.")
    parser.add_argument("--model", type=Path, help="a model folder; else a tiny one")
    parser.add_argument("--out", type=Path, help="output folder; else a temporary one")
    parser.add_argument("--layers", type=int, default=2, help="layers to train")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--accumulate", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--sample-every", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from --out")
    args = parser.parse_args()
    if args.resume and not args.out:
        parser.error("--resume needs the --out of the run to resume")
    return args


def freeze_all_but(model: PreTrainedModel, layers: int) -> None:
    """Only the last `layers` decoder layers keep their gradients."""
    model.requires_grad_(False)
    for layer in model.model.layers[-layers:]:
        layer.requires_grad_(True)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    print(
        f"trainable params: {trainable:,d} || all params: {total:,d} "
        f"|| trainable%: {100 * trainable / total:.4f}"
    )


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    out = args.out or Path(tempfile.mkdtemp(prefix="partial-"))
    cuda = torch.cuda.is_available()
    cpu = not cuda and not torch.backends.mps.is_available()

    folder = args.model or model_folder(out / "model", args.seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=torch.bfloat16 if cuda else torch.float32
    )
    freeze_all_but(model, args.layers)

    def tokenize(row: dict) -> dict:
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        return tokenizer(text, truncation=True, max_length=args.max_length)

    rows = Dataset.from_list(chats(args.rows, args.seed))
    rows = rows.train_test_split(test_size=8, seed=args.seed)
    questions = [chat[0]["content"] for chat in rows["test"]["messages"][:2]]
    tokenized = rows.map(tokenize, remove_columns=["messages"])

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(out),
            max_steps=args.steps,
            per_device_train_batch_size=args.batch_size,
            gradient_accumulation_steps=args.accumulate,
            learning_rate=args.learning_rate,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=max(1, args.steps // 2),
            save_steps=max(1, args.steps // 2),
            report_to="none",
            seed=args.seed,
            bf16=cuda,
            use_cpu=cpu,
        ),
        train_dataset=tokenized["train"],
        eval_dataset=tokenized["test"],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
        callbacks=[Samples(tokenizer, questions, args.sample_every)],
    )
    trainer.train(resume_from_checkpoint=args.resume or None)
    trainer.save_model(str(out / "tuned"))
    print(f"The tuned model is in {out / 'tuned'}")


if __name__ == "__main__":
    main()
