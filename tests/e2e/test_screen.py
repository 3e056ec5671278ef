"""A person at the keyboard: a real run on the real screen."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from support.runs import (
    Trainwatch,
    console,
    facts,
    only_run,
    over,
    supervised,
    until,
)
from support.screen import Screen

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.e2e


def sft(out: Path, *more: str) -> list[str]:
    script = str(ROOT / "examples" / "sft_lora.py")
    return [sys.executable, script, "--out", str(out), "--rows", "60", *more]


def test_watch_snapshot_leave_come_back_abort(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    screen = Screen(
        "run", "--", *sft(tmp_path / "out", "--steps", "2000"), cwd=tmp_path
    )
    screen.wait_for("Phase", "Memory", "Warnings", "Console")
    folder = only_run(trainwatch.home)
    until(lambda: b"'loss'" in console(folder), "a logged step", within=120)
    screen.wait_for("Phase", "Console", "step ")
    (process,) = trainwatch.show()["processes"]
    assert process["trainable"]["parameters"] == 782_336

    screen.press("s")
    screen.wait_for("saved and verified")
    saved = next((folder / "snapshots" / "1").glob("manifest.json"))
    assert json.loads(saved.read_text())["checkpoint"]["resumable"] is True

    screen.press("q")
    assert screen.wait_end() == 0
    assert b"the run goes on" in screen.written
    assert facts(folder)["status"] == "running"
    size = len(console(folder))
    until(lambda: len(console(folder)) > size, "output while nobody looks")

    back = Screen("attach", cwd=tmp_path)
    back.wait_for("WORKING", "snapshot")
    back.press("a")
    back.wait_for("Finish the step and save")
    back.press("\r")
    back.wait_for("ABORTED", "stopped after step")
    assert over(folder)["status"] == "aborted"
    back.press("q")
    back.wait_end()
    assert b"\x1b[?1000h" not in back.written, "the mouse is left to the terminal"


@pytest.mark.parametrize("victim", ["app", "supervisor", "keeper", "terminal"])
def test_training_survives_each_of_us(
    victim: str, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    screen = Screen("run", "--", *sft(tmp_path / "out", "--steps", "12"), cwd=tmp_path)
    folder = only_run(trainwatch.home)
    supervised(folder)
    until(lambda: b"'loss'" in console(folder), "a logged step", within=120)
    if victim == "app":
        os.kill(screen.process.pid, signal.SIGKILL)
    elif victim == "terminal":
        screen.process.close(force=True)
    else:
        os.kill(facts(folder)[victim], signal.SIGKILL)
        screen.wait_for("12/12", within=120)
    ended = over(folder, within=120)
    assert (ended["status"], ended["exit_code"]) == ("finished", 0)
    document = trainwatch.show()
    (process,) = (p for p in document["processes"] if p["role"] == "rank")
    assert process["step"] == 12
    assert b"12/12" in console(folder)


def test_the_demo_in_plain_lines(trainwatch: Trainwatch) -> None:
    done = trainwatch("demo", "lora", "--steps", "3", timeout=180)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "\x1b" not in done.stdout
    assert "step 3/3" in done.stdout
    assert "run finished" in done.stdout
    assert trainwatch("demo", "no-such").returncode == 2


def test_an_exception_in_training_is_the_headline(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\n"
        "model = torch.nn.Linear(4, 4)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for step in range(5):\n"
        "    loss = model(torch.ones(2, 4 if step < 3 else 5)).sum()\n"
        "    loss.backward(); optimizer.step(); optimizer.zero_grad()\n"
    )
    done = trainwatch("run", "--plain", "--", sys.executable, str(script))
    assert done.returncode == 1
    document = trainwatch.show()
    assert document["verdict"]["state"] == "failed"
    assert "RuntimeError: mat1 and mat2" in document["verdict"]["facts"][1]
    (process,) = (p for p in document["processes"] if p["role"] == "rank")
    assert process["step"] == 3
    assert process["error"]["phase"] == "forward"
    serious = document["warnings"]["counts"]["serious"]
    assert serious == 1
