"""
False alarms on healthy runs: what triage says of the examples, at all verbosities.

    python benchmarks/alarms.py [--model FOLDER] [--steps 3]

Each example runs under `trainwatch run --plain` with TRANSFORMERS_VERBOSITY at error,
warning, info and debug. All of them are healthy, so that every line with `attention`
or `serious` must be read and be right, or be called a false alarm. FOLDER holds a
model; without it the examples make their tiny one.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from trainwatch.runner.demo import examples_folder

EXAMPLES = ("sft_lora", "dpo", "partial", "plain_loop")
VERBOSITIES = ("error", "warning", "info", "debug")
ALARMS = ("serious", "attention")


def events(home: Path) -> list[dict[str, object]]:
    """All events of the one run in `home`."""
    (log,) = home.glob("runs/*/events.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def run(example: str, verbosity: str, words: list[str]) -> tuple[int, list[str]]:
    """The exit code, and a line for everything that was ever said of it."""
    with tempfile.TemporaryDirectory(prefix="twa-") as folder:
        home = Path(folder, "home")
        script = str(examples_folder() / f"{example}.py")
        words = ["--out", str(Path(folder, "out")), *words]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "2",
            "TRANSFORMERS_VERBOSITY": verbosity,
            "TRAINWATCH_HOME": str(home),
        }
        trainwatch = [sys.executable, "-m", "trainwatch", "run", "--plain", "--"]
        done = subprocess.run(
            [*trainwatch, sys.executable, script, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        told = [
            f"{event['severity']}: {event.get('text') or event.get('summary')}"
            for event in events(home)
            if event["type"] in ("warning_triaged", "finding_raised")
        ]
    return done.returncode, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a folder; default: the tiny one")
    parser.add_argument("--steps", type=int, default=3)
    args = parser.parse_args()
    words = ["--steps", str(args.steps)]
    if args.model:
        words += ["--model", args.model]
    failed = alarms = 0
    for verbosity in VERBOSITIES:
        for example in EXAMPLES:
            code, told = run(example, verbosity, words)
            counts = collections.Counter(line.partition(":")[0] for line in told)
            loud = sorted({line for line in told if line.startswith(ALARMS)})
            failed += code != 0
            alarms += len(loud)
            said = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
            print(f"{verbosity:<8} {example:<11} exit {code}  {said}", flush=True)
            for line in loud:
                print(f"         {line[:200]}")
    runs = len(VERBOSITIES) * len(EXAMPLES)
    print(f"\n{runs} runs, {failed} failed, {alarms} attention or serious")


if __name__ == "__main__":
    main()
