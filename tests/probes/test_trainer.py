"""The Trainer of transformers, in a process of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainwatch.probes import flight

pytest.importorskip("transformers")

TRAINER = """
    import os, sys, time
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config)
    data = [{"input_ids": list(range(8)), "labels": list(range(8))} for _ in range(32)]
    def trainer(cls=Trainer, model=model, **options):
        given = dict(
            output_dir="out", max_steps=3, per_device_train_batch_size=2,
            logging_steps=1, save_strategy="no", report_to=[], use_cpu=True,
            disable_tqdm=True,
        )
        return cls(
            model, TrainingArguments(**{**given, **options}),
            train_dataset=data, eval_dataset=data[:4],
        )
"""


@pytest.fixture
def train(run: Any) -> Callable[..., Any]:
    def start(rest: str, **options: Any) -> Any:
        return run(textwrap.dedent(TRAINER) + textwrap.dedent(rest), **options)

    return start


def test_a_run_of_the_trainer(train: Any, tmp_path: Path, collector: Any) -> None:
    done = train(
        """
        class Slow(Trainer):
            def compute_loss(self, model, inputs, **given):
                time.sleep(0.03)
                return super().compute_loss(model, inputs, **given)
        t = trainer(
            Slow, gradient_accumulation_steps=2, save_strategy="steps", save_steps=2,
            eval_strategy="steps", eval_steps=3,
        )
        t.train()
        with torch.no_grad():
            out = model.generate(
                torch.tensor([[1, 2, 3]]), max_new_tokens=6, do_sample=False,
                eos_token_id=None, pad_token_id=0,
            )
        print("new", out.shape[1] - 3)
        model.save_pretrained("final")
        """
    ).check()
    names = [e.type for e in done.events]
    assert names.index("rank_identified") < names.index("training_began")
    libraries = {i.name: i for i in done.of("library_imported")}
    assert {"torch", "transformers", "accelerate"} <= set(libraries)
    assert libraries["torch"].version
    (began,) = done.of("training_began")
    assert began.trainer == "Slow"
    assert (began.step, began.max_steps, began.batch_size, began.accumulation) == (
        0,
        3,
        2,
        2,
    )
    assert (began.can_save, began.resumable) == (True, True)
    assert began.output_dir == str(tmp_path / "out")
    steps = done.of("step_ended")
    assert [(s.step, s.micro_steps, s.tokens) for s in steps] == [
        (1, 2, 32),
        (2, 2, 32),
        (3, 2, 32),
    ]
    for step in steps:
        assert step.seconds == pytest.approx(sum(p[1] for p in step.phases.values()))
        counts = {name: pair[0] for name, pair in step.phases.items()}
        assert counts == {
            "fetch": 1,
            "loss": 2,
            "forward": 2,
            "backward": 2,
            "clip": 1,
            "optimizer": 1,
            "other": 1,
        }
        assert step.phases["loss"][1] > 0.05
        assert not step.skipped
    (ended,) = done.of("training_ended")
    assert (ended.step, ended.stopped) == (3, False)
    losses = [m.values["loss"] for m in done.of("metrics_logged") if "loss" in m.values]
    assert len(losses) == 3
    evaluations = [p for p in done.of("phase_ended") if p.phase == "evaluate"]
    assert len(evaluations) == 1
    saves = [p for p in done.of("phase_ended") if p.phase == "save"]
    assert [s.detail for s in saves] == ["checkpoint-2", "checkpoint-3", "final"]
    checkpoints = done.of("checkpoint_saved")
    assert checkpoints[0].path == str(tmp_path / "out" / "checkpoint-2")
    assert checkpoints[0].bytes == sum(
        f.stat().st_size for f in (tmp_path / "out" / "checkpoint-2").iterdir()
    )
    (asked,) = done.of("generation_began")
    assert (asked.prompt_tokens, asked.max_new_tokens, asked.batch) == (3, 6, 1)
    (generated,) = done.of("generation_ended")
    assert done.stdout.endswith("new 6\n")
    assert (generated.tokens, generated.hit_cap, generated.failed) == (6, True, False)
    assert 0 < generated.ttft_s < generated.seconds
    assert generated.second_token_s > 0
    assert generated.tokens_per_s > 0
    parts = [
        p.phase for p in done.of("phase_ended") if p.phase in ("prefill", "decode")
    ]
    assert parts == ["prefill", "decode"]
    record = collector.run / "flight" / str(done.events[0].pid)
    reading = flight.read(record.read_bytes())
    assert reading is not None
    assert (reading.phase, reading.step) == ("end", 3)
    assert reading.beat
    assert {name for name, _ in flight.history(record.read_bytes())} >= {
        "forward",
        "backward",
        "optimizer",
        "save",
        "prefill",
        "decode",
    }


def test_parameters_are_counted_as_peft_does(train: Any) -> None:
    pytest.importorskip("peft")
    done = train(
        """
        from peft import LoraConfig, get_peft_model
        lora = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"]))
        trainer(model=lora, max_steps=2).train()
        print(*lora.get_nb_trainable_parameters())
        lora.save_pretrained("adapter")
        """
    ).check()
    trainable, total = map(int, done.stdout.splitlines()[-1].split())
    (model,) = done.of("model_described")
    assert (model.trainable, model.parameters) == (trainable, total)
    assert 0 < trainable < total
    assert model.weights_trainable == 4 * trainable
    assert done.of("checkpoint_saved")[-1].path.endswith("adapter")


def test_save_and_stop_at_one_step(train: Any, collector: Any, tmp_path: Path) -> None:
    collector.when("training_began", {"request": "save", "id": "a", "at_step": 2})
    collector.when("training_began", {"request": "stop", "id": "b", "at_step": 2})
    collector.when("training_ended", {"request": "save", "id": "c"})
    done = train(
        """
        class Slow(Trainer):
            def compute_loss(self, model, inputs, **given):
                time.sleep(0.3)
                return super().compute_loss(model, inputs, **given)
        trainer(Slow, max_steps=9).train()
        time.sleep(0.5)
        """
    ).check()
    answers = {a.id: a for a in done.of("request_finished")}
    assert [answers[i].outcome for i in "abc"] == ["done", "done", "refused"]
    assert answers["a"].path == str(tmp_path / "out" / "checkpoint-2")
    assert (tmp_path / "out" / "checkpoint-2" / "trainer_state.json").exists()
    assert answers["a"].step == answers["b"].step == 2
    assert "training ended at step 2" in answers["c"].detail
    (ended,) = done.of("training_ended")
    assert (ended.step, ended.stopped) == (2, True)
    (saved,) = done.of("checkpoint_saved")
    assert saved.ours


def test_a_failing_run_fails_as_it_would(train: Any, collector: Any) -> None:
    collector.when("training_began", {"request": "save", "id": "a", "at_step": 9})
    done = train(
        """
        class Bad(Trainer):
            def compute_loss(self, model, inputs, **given):
                time.sleep(0.3)
                if self.state.global_step == 2:
                    model(input_ids=torch.tensor([[99]]))
                return super().compute_loss(model, inputs, **given)
        trainer(Bad).train()
        """
    )
    assert done.returncode == 1
    assert done.of("probe_failed") == []
    assert done.stderr.rstrip().endswith("IndexError: index out of range in self")
    (error,) = done.of("exception_raised")
    assert (error.kind, error.phase, error.step) == ("IndexError", "forward", 2)
    (ended,) = done.of("training_ended")
    assert (ended.step, ended.stopped) == (2, False)
    (answer,) = done.of("request_finished")
    assert (answer.outcome, answer.detail) == ("refused", "training failed at step 2")


def test_the_numbers_are_those_of_a_bare_run(
    train: Any, environment: dict[str, str]
) -> None:
    script = """
        t = trainer(max_steps=3, logging_steps=1)
        t.train()
        print([round(h["loss"], 6) for h in t.state.log_history if "loss" in h])
        print(sum(p.double().sum().item() for p in model.parameters()))
        print([type(c).__name__ for c in t.callback_handler.callbacks][:1])
        """
    watched = train(script).check()
    bare = train(script, env={"PYTHONPATH": ""})
    assert bare.returncode == 0
    assert watched.stdout.splitlines()[-3:] == bare.stdout.splitlines()[-3:]
