"""Every example runs bare to its end, on the model made on the spot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from support.stack import RESUMES, installed, sayings
from trainwatch.runner.demo import examples_folder, missing_packages

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing_packages()), reason="no training packages"),
]

TRAINABLE = re.compile(
    r"^trainable params: ([\d,]+) \|\| all params: ([\d,]+) \|\| trainable%: ([\d.]+)$",
    re.MULTILINE,
)


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """An output folder that goes away: the checkpoints fill a disk."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def run(script: str, *argv: str, out: Path, code: int = 0) -> str:
    """The output, both streams, of a run that must end with `code`."""
    environment = dict(os.environ, OMP_NUM_THREADS="2", HF_HUB_OFFLINE="1")
    environment["CUDA_VISIBLE_DEVICES"] = ""
    ended = subprocess.run(
        [sys.executable, str(examples_folder() / script), "--out", str(out), *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=300,
    )
    assert ended.returncode == code, ended.stdout
    return ended.stdout


def tensors(file: Path) -> set[str]:
    """Names of the tensors of a safetensors file, each of them readable."""
    with safe_open(file, framework="np") as opened:
        names = set(opened.keys())
        assert all(opened.get_tensor(name).size for name in names)
    return names


def trainable_percent(output: str) -> float:
    (match,) = TRAINABLE.finditer(output)
    trainable, total = (int(match[n].replace(",", "")) for n in (1, 2))
    assert float(match[3]) == pytest.approx(100 * trainable / total, abs=1e-3)
    return float(match[3])


def assert_warned_and_sampled(output: str) -> None:
    for saying in sayings():
        assert saying.text in output
    assert "step 2: What does " in output


@pytest.mark.parametrize("script", ["sft_lora.py", "dpo.py"])
def test_lora_scripts_leave_an_adapter(script: str, out: Path) -> None:
    output = run(script, "--steps", "2", out=out)
    assert_warned_and_sampled(output)
    assert 0 < trainable_percent(output) < 20
    assert output.count("'loss': ") == 2
    for step in (1, 2):
        checkpoint = out / f"checkpoint-{step}"
        state = json.loads((checkpoint / "trainer_state.json").read_text())
        assert state["global_step"] == step
        config = json.loads((checkpoint / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA"
        names = tensors(checkpoint / "adapter_model.safetensors")
        assert names
        assert all(".lora_" in name for name in names)
        assert (checkpoint / "optimizer.pt").stat().st_size > 0
    assert tensors(out / "adapter" / "adapter_model.safetensors") == names


def test_partial_trains_the_last_layers_and_resumes(out: Path) -> None:
    output = run("partial.py", "--steps", "2", out=out)
    assert_warned_and_sampled(output)
    assert 0 < trainable_percent(output) < 50
    state = json.loads((out / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["global_step"] == 2

    base = out / "model" / "model.safetensors"
    tuned = out / "checkpoint-2" / "model.safetensors"
    changed = set()
    with safe_open(base, "np") as before, safe_open(tuned, "np") as after:
        assert set(before.keys()) == set(after.keys())
        for name in before.keys():  # noqa: SIM118
            if (before.get_tensor(name) != after.get_tensor(name)).any():
                changed.add(".".join(name.split(".")[:3]))
    assert changed == {"model.layers.6", "model.layers.7"}

    if installed("transformers") < RESUMES:
        output = run("partial.py", "--steps", "3", "--resume", out=out, code=1)
        assert "in _load_rng_state" in output
        assert "Weights only load failed" in output
        return
    output = run("partial.py", "--steps", "3", "--resume", out=out)
    assert output.count("'loss': ") == 1
    state = json.loads((out / "checkpoint-3" / "trainer_state.json").read_text())
    assert state["global_step"] == 3


def test_plain_loop_resumes_where_it_stopped(out: Path) -> None:
    output = run("plain_loop.py", "--steps", "2", out=out)
    assert_warned_and_sampled(output)
    assert (out / "checkpoint-2" / "state.pt").stat().st_size > 50e6

    output = run("plain_loop.py", "--steps", "3", "--resume", out=out)
    assert "step 3: What does " in output
    assert "step 2: What does " not in output
    assert (out / "checkpoint-3" / "state.pt").is_file()


def test_resume_without_out_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, str(examples_folder() / "plain_loop.py"), "--resume"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "--resume needs the --out" in ended.stderr
