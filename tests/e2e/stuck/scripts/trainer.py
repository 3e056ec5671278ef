"""
A Trainer on a small model in which one thing is odd: `trainer.py CASE`. Needs torch
and transformers.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from mark import begins, case, main
from transformers import Trainer, TrainerCallback, TrainingArguments


class Model(torch.nn.Module):
    """The loss of a step may be odd: `odd(step, loss)`."""

    def __init__(self, odd: Any = None) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 1)
        self.odd = odd
        self.steps = 0

    def forward(self, x: Any) -> dict[str, Any]:
        loss = self.linear(x).square().mean()
        if self.odd is not None and self.training:
            loss = self.odd(self.steps, loss)
            self.steps += 1
        return {"loss": loss, "logits": loss.detach().expand(len(x))}


class Rows(torch.utils.data.Dataset[Any]):
    def __init__(self, count: int, seconds: float = 0.0) -> None:
        self.count = count
        self.seconds = seconds

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if self.seconds:
            time.sleep(self.seconds)
        return {"x": torch.full((8,), float(index % 7))}


def arguments(**more: Any) -> TrainingArguments:
    given = {
        "output_dir": "out",
        "max_steps": 1000,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return TrainingArguments(**{**given, **more})


def train(odd: Any = None, rows: Any = None, more: Any = (), **options: Any) -> Any:
    trainer = Trainer(
        Model(odd),
        arguments(**options),
        train_dataset=rows or Rows(10_000),
        eval_dataset=Rows(40, 0.4),
        callbacks=[*more],
    )
    trainer.train()
    return trainer


def marked(step: int, first: int) -> None:
    time.sleep(0.3)
    if step == first:
        begins("")


# --- the numbers ---


@case
def loss_nan() -> None:
    """The loss is nan from step 10 on, and so are the weights."""

    def odd(step: int, loss: Any) -> Any:
        marked(step, 10)
        return loss * float("nan") if step >= 10 else loss

    train(odd)


@case
def loss_zero() -> None:
    """No label is left: the loss is 0 and nothing is learned."""

    def odd(step: int, loss: Any) -> Any:
        marked(step, 10)
        return loss * 0 if step >= 10 else loss

    train(odd)


# --- arguments ---


@case
def old_argument() -> None:
    """An argument that newer versions do not take."""
    begins("")
    arguments(evaluation_strategy="steps")


@case
def old_trainer_argument() -> None:
    """The same of the Trainer."""
    begins("")
    Trainer(Model(), arguments(), tokenizer=None)


# --- that end by themselves ---


@case
def one_nan() -> None:
    """One gradient is nan, as when a scaler of AMP finds its scale; it is skipped."""

    class Scaler(TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, **given: Any) -> None:
            for parameter in given["model"].parameters():
                torch.nan_to_num_(parameter.grad, 0.0)

    def odd(step: int, loss: Any) -> Any:
        marked(step, 10)
        return loss * float("nan") if step == 10 else loss

    train(odd, more=[Scaler()], max_steps=60)


@case
def silent() -> None:
    """`logging_steps=500`, nothing is printed between."""

    def odd(step: int, loss: Any) -> Any:
        marked(step, 0)
        return loss

    train(odd, max_steps=120, logging_steps=500)


@case
def long_evaluation() -> None:
    """An evaluation of 40 rows at 1 s each after steps of 0.3 s."""

    def odd(step: int, loss: Any) -> Any:
        marked(step, 0)
        return loss

    train(odd, max_steps=12, eval_strategy="steps", eval_steps=10)


@case
def resume_skips() -> None:
    """A resumed run reads and drops 60 batches at 0.6 s before its first step."""
    train(max_steps=60, save_strategy="steps", save_steps=60)
    rows = Rows(10_000, 0.3)
    begins("resuming")
    trainer = Trainer(Model(), arguments(max_steps=64), train_dataset=Stream(rows))
    trainer.train(resume_from_checkpoint="out/checkpoint-60")


class Stream(torch.utils.data.IterableDataset[Any]):
    """Every batch of a stream has to be made to be skipped."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __iter__(self) -> Any:
        return (self.rows[index] for index in range(len(self.rows)))


if __name__ == "__main__":
    main()
