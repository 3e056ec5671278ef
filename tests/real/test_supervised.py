"""The main job, end to end: real weights, the real stack, every claim checked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.examples import events_of, other_share
from support.runs import Trainwatch, console, over, until
from trainwatch.probes.events import STEP_PHASES

ROOT = Path(__file__).parent.parent.parent
STEPS = 6
CLASSIC = {
    "The following generation flags are not valid and may be ignored": "harmless",
    "`torch_dtype` is deprecated! Use `dtype` instead!": "cleanup",
}

pytestmark = pytest.mark.real


def script(name: str, model: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "examples" / name),
        "--model",
        str(model),
        "--out",
        str(out),
        *more,
    ]


@pytest.mark.parametrize(
    "name", ["sft_lora.py", "dpo.py", "partial.py", "plain_loop.py"]
)
def test_a_real_run_is_seen_whole(
    name: str, smollm2: Path, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    command = script(name, smollm2, tmp_path / "out", "--steps", str(STEPS))
    done = trainwatch("run", "--plain", "--", *command, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "\x1b" not in done.stdout

    document = trainwatch.show()
    assert document["run"]["status"] == "finished"
    (process,) = (p for p in document["processes"] if p["role"] == "rank")
    assert (process["step"], process["max_steps"]) == (STEPS, STEPS)
    check_phases(process)
    assert 0 < other_share(events_of(Path(document["run"]["home"]))) < 0.05
    check_warnings(document)
    check_trainable(process, console(Path(document["run"]["home"])).decode())
    check_memory(process)
    assert document["probe"]["errors"] == []
    assert document["probe"]["dropped"] == 0
    assert process["generations"]
    for generation in process["generations"]:
        assert generation["done"]
        assert 0 < generation["ttft_s"] < 60
        assert 0 < generation["tokens"] <= generation["max_new_tokens"]
    assert any(c["complete"] for c in document["checkpoints"])


def check_phases(process: dict[str, Any]) -> None:
    phases = process["phases"]
    wanted = {"load", "fetch", "forward", "backward", "optimizer", "save", "generate"}
    for phase in wanted | {"data"}:
        assert phases[phase]["count"] > 0, phase
        assert phases[phase]["total_s"] > 0, phase
    assert phases["optimizer"]["count"] == STEPS
    assert process["steps"]["count"] == STEPS
    named = sum(
        phases[name]["total_s"]
        for name in STEP_PHASES
        if name in phases and name != "other"
    )
    wall = process["steps"]["seconds"]
    assert named == pytest.approx(wall, rel=0.10)


def check_warnings(document: dict[str, Any]) -> None:
    items = document["warnings"]["items"]
    for text, severity in CLASSIC.items():
        found = [item for item in items if text in item["text"]]
        assert [item["severity"] for item in found] == [severity], text
        assert found[0]["why"]
        assert found[0]["do"]


def check_trainable(process: dict[str, Any], printed: str) -> None:
    match = re.search(
        r"trainable params: ([\d,]+) \|\| all params: ([\d,]+) \|\| "
        r"trainable%: ([\d.]+)",
        printed,
    )
    assert match, "the script prints what PEFT prints"
    trainable = process["trainable"]
    assert trainable["parameters"] == int(match.group(1).replace(",", ""))
    assert trainable["total"] == int(match.group(2).replace(",", ""))
    assert trainable["percent"] == pytest.approx(float(match.group(3)), abs=1e-4)


def check_memory(process: dict[str, Any]) -> None:
    memory = process["memory"]
    assert memory["device"] == "cpu"
    assert memory["peak"] > 0
    ledger = memory["ledger"]
    width = 4  # bytes: the examples train in fp32 on a CPU
    assert ledger["exp_avg"] == process["trainable"]["parameters"] * width
    assert ledger["exp_avg"] == ledger["exp_avg_sq"] == ledger["gradients"]


def test_snapshot_then_abort_then_resume(
    smollm2: Path, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """The snapshot's checkpoint is one the Trainer resumes from."""
    out = tmp_path / "out"
    command = script("sft_lora.py", smollm2, out, "--steps", "400")
    started = trainwatch("run", "--detach", "--", *command)
    folder = trainwatch.home / "runs" / started.stdout.strip()
    until(lambda: b"'loss'" in console(folder), "a logged step", within=120)

    saved = trainwatch("snapshot", "--wait", "120", timeout=150)
    assert saved.returncode == 0, saved.stderr
    assert "saved and verified" in saved.stdout
    checkpoint = Path(saved.stdout.strip().splitlines()[-1])
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    taken = folder / "snapshots" / "1"
    manifest = json.loads((taken / "manifest.json").read_text())
    assert manifest["step"] == state["global_step"]
    assert manifest["checkpoint"]["resumable"] is True
    assert "training_step" in (taken / "stacks.txt").read_text() or (
        "in train" in (taken / "stacks.txt").read_text()
    )
    assert json.loads((taken / "memory.json").read_text())["processes"]

    aborted = trainwatch("abort", timeout=150)
    assert aborted.returncode == 0, aborted.stderr
    ended = over(folder)
    assert (ended["status"], ended["exit_code"]) == ("aborted", 0)
    document = trainwatch.show()
    detail = document["commands"][-1]["detail"]
    assert "stopped after step" in detail
    assert "saved and verified: checkpoint-" in detail
    assert document["resume_from"] == document["commands"][-1]["saved"]

    resumed = subprocess.run(
        script(
            "sft_lora.py",
            smollm2,
            out,
            "--steps",
            str(document["processes"][0]["step"] + 2),
            "--resume",
        ),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr[-3000:]


def test_the_stack_of_a_training_process(
    smollm2: Path, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    command = script("plain_loop.py", smollm2, tmp_path / "out", "--steps", "400")
    started = trainwatch("run", "--detach", "--", *command)
    folder = trainwatch.home / "runs" / started.stdout.strip()
    until(
        lambda: any(p["step"] for p in trainwatch.show()["processes"]),
        "a step",
        within=120,
    )
    done = trainwatch("stack")
    assert done.returncode == 0, done.stderr
    assert "plain_loop.py" in done.stdout
    saved = trainwatch("snapshot", timeout=120)
    assert "rescue" in saved.stdout, saved.stderr
    assert list((folder / "snapshots").rglob("rescue.pt"))
    aborted = trainwatch("abort", timeout=120)
    assert aborted.returncode == 0
    assert "saved and verified: rescue.pt" in aborted.stdout
    assert over(folder)["status"] == "aborted"
    kept = json.loads((folder / "snapshots" / "2" / "manifest.json").read_text())
    assert kept["checkpoint"]["verified"] is True
    assert trainwatch.show()["resume_from"] is None
