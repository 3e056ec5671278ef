"""
Aborts and snapshots at random moments of real runs, and what came of each.

A drill asks by the command line, as a person would, and looks at the disk and the
process table itself.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from support.runs import Trainwatch, console, facts, over, until
from trainwatch.runner.demo import examples_folder

MOMENTS = Path(__file__).parents[1] / "e2e" / "scripts" / "moments.py"
NAMES = ("import", "load", "map", "step", "save", "evaluate", "generate", "hung")
FILES = ("model", "optimizer", "scheduler", "rng_state")
LOADED_S = 180.0
"""Until a stack is imported, on a busy machine."""
HOLD_S = 3.0
PROMISED_S = {"step": 30.0, "now": 10.0, "tree": 10.0, "kill": 5.0}
"""From the command to the end of the run. `now` and `tree` wait for a save."""


@dataclass
class Abort:
    """One abort, and what was seen."""

    moment: str
    rung: str
    after: float
    """Seconds into the moment."""
    seconds: float = 0.0
    detail: str = ""
    faults: list[str] = field(default_factory=list)


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }


def held(trainwatch: Trainwatch, moment: str, out: Path, hold_s: float) -> Path:
    """A run that has come to `moment`; its folder."""
    if moment == "save":
        moment = f"save:{random.choice(FILES)}"
    out.mkdir(parents=True, exist_ok=True)
    done = trainwatch(
        *("run", "--detach", "--", sys.executable, str(MOMENTS), moment, str(out)),
        env={**environment(), "HOLD_S": str(hold_s)},
    )
    assert done.returncode == 0, done.stderr
    folder = trainwatch.home / "runs" / done.stdout.strip()
    word = f"at {moment.partition(':')[0]}".encode()
    until(lambda: word in console(folder), f"{moment} in {folder}", LOADED_S)
    return folder


def abort(trainwatch: Trainwatch, moment: str, rung: str, out: Path) -> Abort:
    """Abort a run `rung`-wise at a random time inside `moment`."""
    after = random.uniform(0.0, 0.6 * HOLD_S)
    drill = Abort(moment, rung, round(after, 2))
    folder = held(trainwatch, moment, out, HOLD_S)
    time.sleep(after)
    child = facts(folder)["child"]
    words = [] if rung == "step" else [f"--{rung}"]
    began = time.monotonic()
    done = trainwatch("abort", folder.name, *words, timeout=90)
    drill.seconds = round(time.monotonic() - began, 2)
    drill.detail = done.stdout.splitlines()[0] if done.stdout else done.stderr[-300:]
    try:
        over(folder, 60)
    except AssertionError as error:
        log = (folder / "supervisor.log").read_text()[-2000:]
        drill.faults += [f"{error}; {drill.detail}; supervisor.log: {log}"]
        trainwatch("abort", folder.name, "--kill")
        return drill
    promised = PROMISED_S[rung]
    waits = HOLD_S if moment == "save" and rung in ("now", "tree") else 0.0
    if done.returncode:
        drill.faults.append(f"abort ended with {done.returncode}: {done.stderr[-200:]}")
    if drill.seconds > promised + waits:
        drill.faults.append(f"took {drill.seconds} s, promised {promised + waits}")
    drill.faults += [f"left behind: {p}" for p in left_behind(folder, child)]
    drill.faults += untrue(trainwatch.show(folder.name), rung, out)
    return drill


def left_behind(folder: Path, child: int) -> list[str]:
    """Processes of the run's session, or started inside it, that live still."""
    found = []
    for process in psutil.process_iter(["pid", "name", "status", "environ"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        inside = (process.info["environ"] or {}).get("TRAINWATCH_RUN") == str(folder)
        try:
            session = os.getsid(process.pid) == child
        except OSError:
            continue
        if inside or session:
            found.append(f"{process.pid} {process.info['name']}")
    return found


def untrue(document: dict[str, Any], rung: str, out: Path) -> list[str]:
    """What the card says of the abort that the disk does not."""
    faults = []
    command = document["commands"][-1]
    if (command["outcome"], command["rung"]) != ("done", rung):
        faults.append(f"card: {command['outcome']} on {command['rung']}")
    if document["run"]["status"] != "aborted":
        faults.append(f"status {document['run']['status']}")
    good = whole_steps(out)
    detail = command["detail"]
    if "saved and verified" in detail:
        step = int(detail.split("checkpoint-")[1].split(",")[0])
        if step not in good:
            faults.append(f"says checkpoint-{step} is verified, whole are {good}")
        if f"stopped after step {step}" not in detail:
            faults.append(f"saved another step than it stopped after: {detail}")
    elif "last good = step" in detail:
        step = int(detail.split("last good = step ")[1].split()[0].replace(",", ""))
        if not good or step != max(good):
            faults.append(f"says last good is {step}, whole are {good}")
    elif good and "nothing after it is lost" not in detail:
        faults.append(f"whole are {good}, the card says: {detail}")
    for checkpoint in document["checkpoints"]:
        if checkpoint["complete"] and checkpoint["step"] not in good:
            faults.append(f"step {checkpoint['step']} is called complete")
    offered = document["resume_from"]
    if offered and int(offered.rpartition("-")[2]) not in good:
        faults.append(f"offers {offered}, whole are {good}")
    return faults


def whole_steps(out: Path) -> list[int]:
    """The steps of the checkpoints that torch and safetensors can really load."""
    import torch
    from safetensors.torch import load_file

    found = []
    for folder in out.glob("checkpoint-*"):
        weights = list(folder.glob("*model.safetensors"))
        states = [folder / "optimizer.pt", folder / "scheduler.pt"]
        random_states = list(folder.glob("rng_state*.pth"))
        try:
            for file in (*states, *random_states):
                torch.load(file, weights_only=False)
            for file in weights:
                load_file(file)
            json.loads((folder / "trainer_state.json").read_text())
        except Exception:  # whatever it is, it cannot be loaded
            continue
        if weights and random_states:
            found.append(int(folder.name.rpartition("-")[2]))
    return sorted(found)


# --- snapshots ---


@dataclass
class Snapshots:
    """A run of an example with snapshots at random moments, then resumed."""

    name: str
    steps: list[int] = field(default_factory=list)
    """Of the snapshots."""
    details: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    apart: float = -1.0
    """The most that a loss of the resumed run differs from the uninterrupted."""
    compared: int = 0
    card: dict[str, Any] | None = None
    faults: list[str] = field(default_factory=list)


def example(name: str, out: Path, steps: int, *more: str) -> list[str]:
    script = str(examples_folder() / f"{name}.py")
    words = ["--steps", str(steps), "--rows", "60", "--sample-every", "7"]
    small = ["--batch-size", "1", "--accumulate", "2", "--max-length", "64"]
    return [sys.executable, script, "--out", str(out), *words, *small, *more]


def snapshots(
    trainwatch: Trainwatch, name: str, count: int, steps: int, out: Path
) -> Snapshots:
    """`count` snapshots of one run; the first is resumed to the run's end."""
    drill = Snapshots(name)
    out.mkdir(parents=True)
    done = trainwatch(
        *("run", "--detach", "--", *example(name, out, steps)), env=environment()
    )
    folder = trainwatch.home / "runs" / done.stdout.strip()
    until(lambda: lead(trainwatch, folder).get("step"), "a step", LOADED_S)
    for _ in range(count):
        time.sleep(random.uniform(0.0, 2.0))
        began = time.monotonic()
        done = trainwatch("snapshot", folder.name, "--again", timeout=90)
        drill.seconds.append(round(time.monotonic() - began, 2))
        line = done.stdout.splitlines()[0] if done.stdout else done.stderr[-200:]
        drill.details.append(line)
        if done.returncode or "saved and verified" not in line:
            drill.faults.append(line)
            continue
        drill.steps.append(int(done.stdout.splitlines()[1].rpartition("-")[2]))
    ended = over(folder, 600)
    if ended["exit_code"] != 0:
        drill.faults.append(f"exit code {ended['exit_code']}")
    whole = whole_steps(out)
    drill.faults += [f"{s} cannot be loaded" for s in drill.steps if s not in whole]
    if not drill.faults:
        resume(trainwatch, drill, steps, out)
    return drill


def resume(trainwatch: Trainwatch, drill: Snapshots, steps: int, out: Path) -> None:
    """Go on from the first snapshot elsewhere, and compare the losses."""
    again, step = out.with_name(out.name + "-resumed"), min(drill.steps)
    again.mkdir()
    shutil.copytree(out / "model", again / "model")
    shutil.copytree(out / f"checkpoint-{step}", again / f"checkpoint-{step}")
    done = trainwatch(
        *("run", "--plain", "--", *example(drill.name, again, steps, "--resume")),
        env=environment(),
        timeout=600,
    )
    if done.returncode:
        drill.faults.append(f"resumed: {done.stdout[-500:]}")
        return
    ranks = [p for p in trainwatch.show()["processes"] if p["role"] == "rank"]
    drill.card = ranks[0]["resumed"]
    first, second = losses(out), losses(again)
    both = [s for s in first if s > step and s in second]
    drill.compared = len(both)
    drill.apart = max((abs(first[s] - second[s]) for s in both), default=-1.0)
    if not both or drill.apart > 1e-4:
        drill.faults.append(f"losses differ by {drill.apart} over {len(both)} steps")


def losses(out: Path) -> dict[int, float]:
    """Step -> loss, as the newest checkpoint's trainer has logged it."""
    newest = max(whole_steps(out))
    state = out / f"checkpoint-{newest}" / "trainer_state.json"
    history = json.loads(state.read_text())["log_history"]
    return {row["step"]: row["loss"] for row in history if "loss" in row}


def lead(trainwatch: Trainwatch, folder: Path) -> dict[str, Any]:
    ranks = [
        p for p in trainwatch.show(folder.name)["processes"] if p["role"] == "rank"
    ]
    return ranks[0] if ranks else {}


def killed_in_a_save(trainwatch: Trainwatch, file: str, out: Path) -> Abort:
    """SIGKILL from outside in the middle of writing `file`."""
    drill = Abort("save", "kill -9", 0.0, detail=file)
    folder = held(trainwatch, f"save:{file}", out, 20.0)
    subprocess.run(["kill", "-9", str(facts(folder)["child"])], check=True)
    over(folder, 30)
    document = trainwatch.show(folder.name)
    found = {c["step"]: c for c in document["checkpoints"]}
    whole = whole_steps(out)
    if 2 in whole:
        drill.faults.append("the checkpoint is whole: it was not in the middle")
    if 2 not in found or found[2]["complete"] is not False:
        drill.faults.append(f"not reported as incomplete: {found.get(2)}")
    if document["resume_from"] is not None:
        drill.faults.append(f"offered: {document['resume_from']}")
    drill.detail = f"{file}: {found.get(2, {}).get('detail')}"
    drill.faults += [
        f"left behind: {p}" for p in left_behind(folder, facts(folder)["child"])
    ]
    return drill
