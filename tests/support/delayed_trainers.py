"""
Trainer, the same with accumulation, SFT with LoRA and DPO, one after the other:
each phase is slow in steps of its own. Called with the file for what was slow.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from datasets import Dataset
from delayed_model import CONFIG, WORDS, Llama, Slow, SlowAdamW, delays, doing, generate
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

PLACES = {
    "collate": "fetch",
    "forward": "forward",
    "loss": "loss",
    "backward": "backward",
    "clip": "clip",
    "optimizer": "optimizer",
    "callback": "other",
}
TWICE = {place: PLACES[place] for place in ("collate", "forward", "backward")}
"""With accumulation these are slow in both micro-steps."""
ROWS = 120
LORA = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM")


class Callback(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        delays("callback")
        delays.end_step()

    def on_log(self, args, state, control, **kwargs):
        if state.global_step < state.max_steps:
            delays.every_other("log")


class Items:
    """Rows that may be slow to get."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        delays.busy("item")
        ids = [(index + n) % 60 + 3 for n in range(8)]
        return {"input_ids": ids, "labels": ids}


def slow(base: type[Trainer]) -> type[Trainer]:
    """`base` with delays in what a user may override."""

    class SlowTrainer(base):
        def __init__(self, **given) -> None:
            super().__init__(**given, callbacks=[Callback()])
            self.optimizer_cls_and_kwargs = SlowAdamW, {"lr": 1e-3}
            collate = self.data_collator

            def slow_collate(rows):
                delays("collate")
                return collate(rows)

            self.data_collator = slow_collate

        def compute_loss(self, model, inputs, **given):
            found = super().compute_loss(model, inputs, **given)
            if not model.training:
                return found
            delays("loss")
            return Slow.apply(found)

        def _clip_grad_norm(self, model):
            delays("clip")
            return super()._clip_grad_norm(model)

        def log(self, *args, **kwargs):
            with delays.whole():
                return super().log(*args, **kwargs)

        def evaluate(self, *args, **kwargs):
            with delays.aside(), delays.whole():
                return super().evaluate(*args, **kwargs)

        def prediction_step(self, *args, **kwargs):
            delays.every_other("evaluate")
            return super().prediction_step(*args, **kwargs)

        def _save_checkpoint(self, *args, **kwargs):
            with doing("save"), delays.whole():
                return super()._save_checkpoint(*args, **kwargs)

    return SlowTrainer


def options(out: str, steps: int) -> dict:
    return {
        "output_dir": out,
        "max_steps": steps,
        "per_device_train_batch_size": 1,
        "per_device_eval_batch_size": 1,
        "logging_steps": 8,
        "eval_strategy": "steps",
        "eval_steps": 5,
        "save_steps": 5,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each of the words w0, w1 and so on."""
    words = {f"w{number}": number for number in range(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="w3"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="w0", bos_token="w1", eos_token="w2"
    )


def prepare(folder: str) -> None:
    """Load, map, generate: what is slow outside of training."""
    Llama(CONFIG).save_pretrained(folder)
    for number in range(6):
        with doing("load"), delays.whole():
            model = Llama.from_pretrained(folder)
        rows = Dataset.from_dict({"a": [0]})
        with delays.whole():
            rows.map(
                lambda row: delays.every_other("data"), new_fingerprint=str(number)
            )
    generate(model, 6)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = f"{folder}/model"
        prepare(base)

        for stack, places, accumulate in (
            ("trainer", {"item": "fetch", **PLACES}, 1),
            ("accumulating", TWICE, 2),
        ):
            steps = delays.begin(stack, places)
            slow(Trainer)(
                model=Llama.from_pretrained(base),
                args=TrainingArguments(
                    **options(f"{folder}/{stack}", steps),
                    gradient_accumulation_steps=accumulate,
                ),
                train_dataset=Items(),
                eval_dataset=[Items()[0]],
                data_collator=default_data_collator,
            ).train()
            delays.end()

        texts = Dataset.from_dict({"text": ["w3 w4 w5 w6 w7"] * ROWS})
        steps = delays.begin("sft", PLACES)
        slow(SFTTrainer)(
            model=Llama.from_pretrained(base),
            args=SFTConfig(**options(f"{folder}/sft", steps), bf16=False),
            train_dataset=texts,
            eval_dataset=texts.select([0]),
            processing_class=tokenizer(),
            peft_config=LORA,
        ).train()
        delays.end()

        pairs = {"prompt": "w3 w4", "chosen": " w5 w6", "rejected": " w7 w8"}
        choices = Dataset.from_list([pairs] * ROWS)
        steps = delays.begin("dpo", {**PLACES, "reference": "reference"})
        slow(DPOTrainer)(
            model=Llama.from_pretrained(base),
            args=DPOConfig(**options(f"{folder}/dpo", steps), bf16=False),
            train_dataset=choices,
            eval_dataset=choices.select([0]),
            processing_class=tokenizer(),
            peft_config=LORA,
        ).train()
        delays.end()
    delays.write(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
