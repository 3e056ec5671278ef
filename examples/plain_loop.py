"""
Full fine-tuning in a loop of one's own: PyTorch, AdamW, checkpoints to resume.

    python examples/plain_loop.py
    python examples/plain_loop.py --out outputs/plain
    python examples/plain_loop.py --out outputs/plain --steps 200 --resume
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from docstrings import chats
from samples import sample
from tiny import model_folder
from torch.optim import AdamW
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    get_cosine_schedule_with_warmup,
    set_seed,
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A training loop of one's own.")
    parser.add_argument("--model", type=Path, help="a model folder; else a tiny one")
    parser.add_argument("--out", type=Path, help="output folder; else a temporary one")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--accumulate", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--sample-every", type=int, default=5)
    parser.add_argument("--save-every", type=int, help="else half of the steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from --out")
    args = parser.parse_args()
    if args.resume and not args.out:
        parser.error("--resume needs the --out of the run to resume")
    return args


def batches(tokenizer, rows: list[dict], size: int, max_length: int) -> DataLoader:
    def tokenize(row: dict) -> dict:
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        return tokenizer(text, truncation=True, max_length=max_length)

    data = Dataset.from_list(rows)
    data = data.map(tokenize, remove_columns=data.column_names, desc="Tokenizing")
    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    return DataLoader(
        data, batch_size=size, shuffle=True, drop_last=True, collate_fn=collate
    )


def endless(loader: DataLoader):
    while True:
        yield from loader


def last_checkpoint(out: Path) -> Path:
    found = sorted(out.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    if not found:
        raise SystemExit(f"No checkpoint in {out}")
    return found[-1] / "state.pt"


def main() -> None:
    args = arguments()
    set_seed(args.seed)
    out = args.out or Path(tempfile.mkdtemp(prefix="plain-loop-"))
    mps = torch.backends.mps.is_available()
    device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"

    folder = args.model or model_folder(out / "model", args.seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    model.to(device).train()
    weights = sum(p.numel() for p in model.parameters())
    print(
        f"trainable params: {weights:,d} || all params: {weights:,d} "
        "|| trainable%: 100.0000"
    )

    rows = chats(args.rows, args.seed)
    questions = [row["messages"][0]["content"] for row in rows[:2]]
    stream = endless(batches(tokenizer, rows, args.batch_size, args.max_length))

    optimizer = AdamW(model.parameters(), lr=args.learning_rate)
    scheduler = get_cosine_schedule_with_warmup(optimizer, 5, args.steps)
    first = 0
    if args.resume:
        state = torch.load(last_checkpoint(out), map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        first = state["step"]

    save_every = args.save_every or max(1, args.steps // 2)
    bar = tqdm(range(first + 1, args.steps + 1), initial=first, total=args.steps)
    for step in bar:
        loss_sum = 0.0
        for _ in range(args.accumulate):
            batch = next(stream).to(device)
            loss = model(**batch).loss / args.accumulate
            loss.backward()
            loss_sum += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        bar.set_postfix(loss=f"{loss_sum:.3f}")

        if step % args.sample_every == 0 or step == args.steps:
            for question in questions:
                answer = sample(model, tokenizer, question)
                tqdm.write(f"step {step}: {question}\n  {answer!r}")
        if step % save_every == 0 or step == args.steps:
            checkpoint = out / f"checkpoint-{step}"
            checkpoint.mkdir(parents=True, exist_ok=True)
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scheduler": scheduler.state_dict(),
                    "step": step,
                },
                checkpoint / "state.pt",
            )
    print(f"The checkpoints are in {out}")


if __name__ == "__main__":
    main()
