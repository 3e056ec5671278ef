"""Batches that a resumed run skips."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from support.stack import SKIPS_ALL, installed
from trainwatch.probes import flight

pytest.importorskip("accelerate")
pytestmark = pytest.mark.e2e

SCRIPT = """
    import os, sys, time
    import torch
    from accelerate import Accelerator

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            for n in range(24):
                time.sleep(0.02)
                yield torch.full((2,), float(n))

    class Table(torch.utils.data.Dataset):
        def __len__(self):
            return 24
        def __getitem__(self, n):
            return torch.full((2,), float(n))

    accelerator = Accelerator(cpu=True)
    def seen(data, skipped):
        loader = accelerator.prepare(torch.utils.data.DataLoader(data, batch_size=2))
        resumed = accelerator.skip_first_batches(loader, skipped)
        return [int(batch[0, 0]) for batch in resumed], type(iter(resumed)).__name__
"""


def test_skipped_batches_are_a_phase(run: Any, collector: Any) -> None:
    most = 12 if installed("accelerate") >= SKIPS_ALL else 11
    script = textwrap.dedent(SCRIPT) + textwrap.dedent(
        f"""
        print(seen(Stream(), 9), seen(Table(), 9), seen(Stream(), 0))
        print(seen(Table(), {most}))
        next_ = torch.utils.data.dataloader._BaseDataLoaderIter.__next__
        print(next_.__qualname__)
        """
    )
    done = run(script).check()
    bare = run(script, env={"PYTHONPATH": ""})
    assert done.stdout == bare.stdout
    assert done.stdout.startswith("([18, 20, 22], 'generator')")
    skips = [p for p in done.of("phase_ended") if p.phase == "skip"]
    assert [(p.rows, p.seconds > 0.3) for p in skips if p.rows == 9] == [
        (9, True),
        (9, False),
    ]


def test_how_many_are_skipped_stands_in_the_flight_record(
    run: Any, collector: Any
) -> None:
    script = textwrap.dedent(SCRIPT) + textwrap.dedent(
        """
        class Look(Stream):
            def __iter__(self):
                for n, row in enumerate(super().__iter__()):
                    if n == 12:
                        folder = os.path.join(os.environ["TRAINWATCH_RUN"], "flight")
                        record = os.path.join(folder, str(os.getpid()))
                        with open(record, "rb") as file, open("seen", "wb") as copy:
                            copy.write(file.read())
                    yield row
        seen(Look(), 9)
        """
    )
    run(script).check()
    reading = flight.read((collector.run.parent / "seen").read_bytes())
    assert reading is not None
    assert (reading.phase, reading.total) == ("skip", 9)
    assert reading.rows == 6


def test_an_error_while_skipping_is_the_users(run: Any) -> None:
    script = textwrap.dedent(SCRIPT) + textwrap.dedent(
        """
        class Bad(Stream):
            def __iter__(self):
                yield torch.zeros(2)
                raise RuntimeError("mine")
        try:
            seen(Bad(), 9)
        except RuntimeError as error:
            print(error)
        print(seen(Stream(), 9))
        """
    )
    done = run(script).check()
    assert done.stdout.startswith("mine\n([18, 20, 22]")
    assert [p.failed for p in done.of("phase_ended") if p.phase == "skip"] == [
        True,
        False,
    ]


def test_a_resumed_trainer(run: Any) -> None:
    pytest.importorskip("transformers")
    done = run(
        """
        import os, time
        import torch
        from torch.utils.data import IterableDataset
        from transformers import LlamaConfig, LlamaForCausalLM
        from transformers import Trainer, TrainingArguments

        class Rows(IterableDataset):
            def __iter__(self):
                for n in range(40):
                    time.sleep(0.02)
                    yield {"input_ids": list(range(8)), "labels": list(range(8))}

        config = LlamaConfig(
            vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2,
        )
        def trainer(steps):
            args = TrainingArguments(
                "out", max_steps=steps, per_device_train_batch_size=2, save_steps=4,
                report_to=[], use_cpu=True, disable_tqdm=True,
            )
            return Trainer(LlamaForCausalLM(config), args, train_dataset=Rows())
        trainer(4).train()
        # transformers 4.46 cannot read it under a torch from 2.6 on.
        os.remove("out/checkpoint-4/rng_state.pth")
        trainer(6).train(resume_from_checkpoint="out/checkpoint-4")
        """
    ).check()
    (skip,) = [p for p in done.of("phase_ended") if p.phase == "skip"]
    assert (skip.rows, skip.seconds > 0.14) == (4, True)
    steps = [s for s in done.of("step_ended") if s.step == 5]
    assert steps[0].seconds < skip.seconds + 1
    assert steps[-1].phases["fetch"][1] < skip.seconds
