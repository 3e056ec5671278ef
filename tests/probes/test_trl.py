"""TRL's trainers on the examples' own model, armed, whatever their version."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from support.stack import sayings
from trainwatch.runner.demo import PACKAGES, examples_folder, missing_packages

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]

STEPS = 2
EXAMPLE = """
    import runpy, sys
    sys.path.insert(0, {folder!r})
    sys.argv = [{script!r}, "--steps", "{steps}", "--out", {out!r}]
    runpy.run_path({folder!r} + "/" + {script!r}, run_name="__main__")
    """
MOMENTS = dict.fromkeys(("fetch", "clip", "optimizer", "other"), 1)
SFT = {**MOMENTS, "loss": 2, "forward": 2, "backward": 2}
DPO = {**MOMENTS, "loss": 1, "forward": 1, "reference": 1, "backward": 1}


@pytest.mark.parametrize(
    ("script", "trainer", "counts", "evaluations"),
    [("sft_lora.py", "SFTTrainer", SFT, 2), ("dpo.py", "DPOTrainer", DPO, 0)],
)
def test_a_trainer_of_trl(
    run: Any,
    tmp_path: Path,
    script: str,
    trainer: str,
    counts: dict[str, int],
    evaluations: int,
) -> None:
    out = tmp_path / "out"
    folder = str(examples_folder())
    done = run(
        EXAMPLE.format(folder=folder, script=script, steps=STEPS, out=str(out)),
        env={"HF_HUB_OFFLINE": "1"},
    ).check()
    libraries = {told.name: told.version for told in done.of("library_imported")}
    assert libraries == {name: version(name) for name in PACKAGES}
    (began,) = done.of("training_began")
    assert (began.trainer, began.max_steps) == (trainer, STEPS)
    check_steps(done, counts)
    check_phases(done, out, evaluations)
    check_parameters(done)
    check_samples(done)
    check_warnings(done)
    (ended,) = done.of("training_ended")
    assert (ended.step, ended.stopped) == (STEPS, False)


def check_steps(done: Any, counts: dict[str, int]) -> None:
    steps = done.of("step_ended")
    assert [step.step for step in steps] == [1, 2]
    for step in steps:
        assert {name: pair[0] for name, pair in step.phases.items()} == counts
        assert step.seconds == pytest.approx(sum(p[1] for p in step.phases.values()))
    logged = [m for m in done.of("metrics_logged") if "loss" in m.values]
    assert [m.step for m in logged] == [1, 2]
    assert all("grad_norm" in m.values for m in logged)


def check_phases(done: Any, out: Path, evaluations: int) -> None:
    told = done.of("phase_ended")
    assert not [phase for phase in told if phase.failed]
    loaded = [phase.detail for phase in told if phase.phase == "load"]
    assert set(loaded) == {"model"}
    mapped = {phase.detail: phase.rows for phase in told if phase.phase == "data"}
    assert mapped["Tokenizing train dataset"] > 100
    assert len([p for p in told if p.phase == "evaluate"]) == evaluations
    saved = [phase.detail for phase in told if phase.phase == "save"]
    assert saved == ["model", "checkpoint-1", "checkpoint-2", "adapter"]
    checkpoints = {told.path: told for told in done.of("checkpoint_saved")}
    for step in (1, 2):
        folder = out / f"checkpoint-{step}"
        checkpoint = checkpoints[str(folder)]
        sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
        assert (checkpoint.step, checkpoint.bytes) == (step, sum(sizes))


def check_parameters(done: Any) -> None:
    """As PEFT prints them."""
    counts = r"trainable params: ([\d,]+) \|\| all params: ([\d,]+)"
    (printed,) = re.findall(counts, done.stdout)
    (model,) = done.of("model_described")
    told = f"{model.trainable:,}", f"{model.parameters:,}"
    assert told == printed
    (optimizer,) = done.of("optimizer_described")
    assert optimizer.optimizer == "AdamW"


def check_samples(done: Any) -> None:
    """The two answers after the last step."""
    began, ended = done.of("generation_began"), done.of("generation_ended")
    assert len(began) == len(ended) == done.stdout.count("\nstep 2: ") == 2
    for asked, answered in zip(began, ended, strict=True):
        assert (asked.batch, asked.step, asked.max_new_tokens) == (1, 2, 32)
        assert asked.prompt_tokens > 10
        assert 0 < answered.tokens <= 32
        assert 0 < answered.ttft_s < answered.seconds
        assert answered.use_cache


def check_warnings(done: Any) -> None:
    """At their source, once, in the phase they came in."""
    told = done.of("warning_raised")
    for saying in sayings():
        found = [warning for warning in told if saying.text in warning.text]
        assert [(w.source, w.count) for w in found] == [(saying.source, 1)], saying
        assert found[0].phase == saying.phase
