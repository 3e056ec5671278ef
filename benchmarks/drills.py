"""
Aborts and snapshots of real runs at random moments, in numbers.

    python benchmarks/drills.py [--aborts 30] [--snapshots 20] [--kills 4] [--seed 0]

Aborts go through the moments (import, load, map, step, save, evaluate, generate, hung)
and the rungs. Snapshots are of the LoRA, DPO and partial examples; of each, one is
resumed and the losses compared. Kills are SIGKILL in the middle of writing a file of
a checkpoint. Every line that ends with `FAULT` says what was not as promised.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import drills
from support.runs import Trainwatch

EXAMPLES = ("sft_lora", "dpo", "partial")
STEPS = {"sft_lora": 60, "dpo": 60, "partial": 100}


@contextmanager
def place() -> Iterator[tuple[Trainwatch, Path]]:
    """A home and an output folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="twd-"))
    os.environ["TRAINWATCH_HOME"] = str(folder / "home")
    try:
        yield Trainwatch(folder / "home", folder), folder / "out"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rungs(moment: str) -> list[str]:
    return ["now", "tree", "kill"] if moment == "hung" else ["step", "now", "kill"]


def told(what: str, faults: list[str]) -> int:
    print(what, *(f"FAULT {fault}" for fault in faults), sep="\n  ", flush=True)
    return bool(faults)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--aborts", type=int, default=30)
    parser.add_argument("--snapshots", type=int, default=20)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    wrong = 0
    for number in range(options.aborts):
        moment = drills.NAMES[number % len(drills.NAMES)]
        choice = rungs(moment)
        rung = choice[number // len(drills.NAMES) % len(choice)]
        with place() as (trainwatch, out):
            drill = drills.abort(trainwatch, moment, rung, out)
        wrong += told(
            f"abort in {moment} +{drill.after} s by {rung}: {drill.seconds} s, "
            f"{drill.detail}",
            drill.faults,
        )
    for number in range(options.kills):
        with place() as (trainwatch, out):
            file = drills.FILES[number % len(drills.FILES)]
            killed = drills.killed_in_a_save(trainwatch, file, out)
        wrong += told(f"kill -9 in a save: {killed.detail}", killed.faults)
    for number, name in enumerate(EXAMPLES):
        count = len(range(number, options.snapshots, len(EXAMPLES)))
        if not count:
            continue
        with place() as (trainwatch, out):
            drill_of = drills.snapshots(trainwatch, name, count, STEPS[name], out)
        wrong += told(
            f"{name}: {len(drill_of.steps)} of {count} snapshots verified, at steps "
            f"{drill_of.steps}, in {drill_of.seconds} s; resumed losses differ by at "
            f"most {drill_of.apart:.2g} over {drill_of.compared} steps; "
            f"{drill_of.card}",
            drill_of.faults,
        )
    print(f"{wrong} with faults")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
