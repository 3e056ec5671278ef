"""Rows, tensors and batches, live in the flight record."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.stack import TENSORS_TOLD, installed
from trainwatch.probes import flight, guard, loading, saving
from trainwatch.probes.count import Count, length
from trainwatch.probes.timeline import Timeline

READ_RECORD = """
    import os, struct, sys
    def record(pid):
        path = os.path.join(os.environ["TRAINWATCH_RUN"], "flight", str(pid))
        from _trainwatch_probes import flight
        return flight.read(open(path, "rb").read())
"""


class Bar:
    """The part of tqdm that `datasets` uses."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.n = options.get("initial", 0)

    def update(self, n: int = 1) -> bool:
        self.n += n
        return True


class Data:
    """A dataset whose `map` tells a bar what the function has done."""

    bar = Bar

    def __len__(self) -> int:
        return 100

    def map(self, function: Any, **options: Any) -> str:
        bar = type(self).module.hf_tqdm(initial=options.get("cached", 0))
        for _ in range(4):
            function()
            bar.update(25)
        assert bar.n == 100 + options.get("cached", 0)
        return "mapped"

    def filter(self, function: Any, **options: Any) -> str:
        return self.map(function, **options)

    module: Any


@pytest.fixture
def timeline(tmp_path: Path) -> Iterator[Timeline]:
    guard.tell_to(None)
    record = flight.FlightRecord(str(tmp_path / "record"))
    yield Timeline(record, lambda body: None)
    record.close()


@pytest.fixture
def data(timeline: Timeline) -> type[Data]:
    class Mine(Data):
        pass

    module = SimpleNamespace(
        __name__="datasets.arrow_dataset", Dataset=Mine, hf_tqdm=Bar
    )
    Mine.module = module
    loading.install(SimpleNamespace(timeline=timeline), module)  # type: ignore[arg-type]
    return Mine


def shown(tmp_path: Path) -> flight.Reading:
    reading = flight.read((tmp_path / "record").read_bytes())
    assert reading is not None
    return reading


def test_rows_of_a_map_are_in_the_record(data: type[Data], tmp_path: Path) -> None:
    looks: list[tuple[str, int | None, int | None, str]] = []

    def look() -> None:
        now = shown(tmp_path)
        looks.append((now.phase, now.rows, now.total, now.detail))

    assert data().map(look, desc="Tokenizing") == "mapped"
    assert looks == [("data", rows, 100, "Tokenizing") for rows in (0, 25, 50, 75)]
    after = shown(tmp_path)
    assert (after.phase, after.rows) == ("other", None)


def test_rows_that_lay_in_the_cache_count(data: type[Data], tmp_path: Path) -> None:
    rows: list[int | None] = []
    data().map(lambda: rows.append(shown(tmp_path).rows), cached=40)
    assert rows == [40, 65, 90, 115]


def test_a_map_inside_a_map_does_not_count(data: type[Data], tmp_path: Path) -> None:
    rows: list[int | None] = []

    def inside() -> None:
        data().map(lambda: None)
        rows.append(shown(tmp_path).rows)

    data().map(inside)
    assert rows == [0, 25, 50, 75]


def test_what_interrupts_a_map_leaves_its_rows(
    data: type[Data], timeline: Timeline, tmp_path: Path
) -> None:
    rows: list[int | None] = []

    def interrupted() -> None:
        span = timeline.enter("load", "tokenizer")
        timeline.leave(span)
        rows.append(shown(tmp_path).rows)

    data().map(interrupted)
    assert rows == [0, 25, 50, 75]


def test_the_bar_keeps_its_name_and_its_kind(data: type[Data]) -> None:
    bar = data.module.hf_tqdm
    assert issubclass(bar, Bar)
    assert (bar.__name__, bar.__module__) == (Bar.__name__, Bar.__module__)
    assert bar(total=5).update(2) is True


def test_an_older_library_has_a_total_and_no_rows(
    timeline: Timeline, tmp_path: Path
) -> None:
    looks: list[tuple[int | None, int | None]] = []

    class Old(Data):
        def map(self, function: Any, **options: Any) -> str:
            now = shown(tmp_path)
            looks.append((now.rows, now.total))
            return "mapped"

    module = SimpleNamespace(__name__="datasets.arrow_dataset", Dataset=Old)
    loading.install(SimpleNamespace(timeline=timeline), module)  # type: ignore[arg-type]
    Old().map(None)
    assert looks == [(None, 100)]


def test_tensors_are_counted_along_transformers_own_bar(
    timeline: Timeline, tmp_path: Path
) -> None:
    count = Count(timeline)
    span = count.begin(timeline.enter("load", "model"))
    rows = []
    for _ in loading._Tensors(lambda over, **_: over, count)({"a": 1, "b": 2}, desc=""):
        now = shown(tmp_path)
        rows.append((now.rows, now.total, now.detail))
    assert rows == [(0, 2, "model"), (1, 2, "model")]
    count.end()
    timeline.leave(span)
    tensors = loading._Tensors(lambda over, **_: over, count)
    assert list(tensors(["outside of a load"])) == ["outside of a load"]
    assert shown(tmp_path).rows is None


def test_an_endless_loader_has_no_length() -> None:
    class Endless:
        def __len__(self) -> int:
            raise TypeError

    assert (length([1, 2]), length(None), length(Endless())) == (2, -1, -1)


def test_a_place_that_is_too_long_for_the_record_is_only_named(tmp_path: Path) -> None:
    short = str(tmp_path / "out")
    assert saving.place(short) == short
    assert saving.place("/" + "deep/" * 40 + "checkpoint-5/") == "checkpoint-5"
    assert saving.place("") == ""


@pytest.mark.e2e
@pytest.mark.parametrize("processes", [None, 2])
def test_real_rows_with_the_bar_hidden(run: Any, processes: int | None) -> None:
    pytest.importorskip("datasets")
    done = run(
        textwrap.dedent(READ_RECORD)
        + textwrap.dedent(
            f"""
            import time
            import datasets
            datasets.disable_progress_bars()
            trainer = os.getpid()
            def slow(row):
                time.sleep(0.004)
                if row["x"] == 199:
                    now = record(trainer)
                    print(now.phase, now.rows, now.total, now.detail)
                return row
            data = datasets.Dataset.from_dict({{"x": list(range(200))}})
            data.map(slow, desc="Tokenizing", num_proc={processes})
            """
        )
    ).check()
    phase, rows, total, detail = done.stdout.split()
    assert (phase, total, detail) == ("data", "200", "Tokenizing")
    assert 0 < int(rows) <= 200
    (mapped,) = [b for b in done.of("phase_ended") if b.detail == "Tokenizing"]
    assert mapped.rows == 200


@pytest.mark.e2e
def test_a_real_load_evaluation_and_save(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    done = run(
        textwrap.dedent(READ_RECORD)
        + textwrap.dedent(
            """
            import time
            import torch
            from transformers import (
                LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
            )
            me = os.getpid()
            config = LlamaConfig(
                vocab_size=64, hidden_size=16, intermediate_size=32,
                num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
            )
            LlamaForCausalLM(config).save_pretrained("base")
            class Model(LlamaForCausalLM):
                def __init__(self, config):
                    time.sleep(0.05)  # a load too quick to be told would not be
                    super().__init__(config)
                def forward(self, *args, **given):
                    if not self.training:
                        now = record(me)
                        print(now.phase, now.rows, now.total)
                    return super().forward(*args, **given)
            model = Model.from_pretrained("base")
            print("tensors", len(list(model.named_parameters())))
            row = {"input_ids": list(range(8)), "labels": list(range(8))}
            class Mine(Trainer):
                def _save(self, *args, **given):
                    now = record(me)
                    print(now.phase, now.detail)
                    return super()._save(*args, **given)
            trainer = Mine(
                model,
                TrainingArguments(
                    output_dir="out", max_steps=1, save_steps=1, report_to=[],
                    use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=2,
                    remove_unused_columns=False,
                ),
                train_dataset=[row] * 8, eval_dataset=[row] * 6,
            )
            trainer.train()
            trainer.evaluate()
            trainer.save_model("final")
            """
        )
    ).check()
    lines = done.stdout.splitlines()
    places = [line for line in lines if line.startswith("save")]
    assert places == [
        f"save {tmp_path / 'out' / 'checkpoint-1'}",
        f"save {tmp_path / 'final'}",
    ]
    # The total is known with the first batch that is done.
    assert [line for line in lines if line.startswith("evaluate")] == [
        "evaluate None None",
        "evaluate 1 3",
        "evaluate 2 3",
    ]
    told = {(b.phase, b.detail): b for b in done.of("phase_ended")}
    assert told["save", "checkpoint-1"].bytes > 0
    assert told["evaluate", ""].rows == 3
    # Where they cannot be counted, they are not measured.
    counted = installed("transformers") >= TENSORS_TOLD
    tensors = int(lines[0].split()[1]) if counted else None
    assert told["load", "base"].rows == tensors
