"""
What watching adds to a training step, beside what others add, in one run.

    python benchmarks/overhead.py [--processes 10] [--steps 1000] [--size tiny|middle]
                                  [--peers PYTHON]

Arms are interleaved, one process each, their order turned round every round. Each
runs in a terminal of its own, as a person would start it: what a step prints costs
every arm the same. Of 300 steps of 3 ms, one second, the spread was wider than what
is looked for.
`bare` runs twice a round: the difference of its halves is the A/A spread, below
which nothing can be told. PYTHON is an interpreter with torch, transformers,
traceml-ai and wandb; without it only bare and trainwatch run. TraceML is measured
by its callback, because `traceml run` would make the script a DDP job.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("steps.py")
SIZES = {
    "tiny": ["--hidden", "32", "--layers", "1", "--length", "16"],
    "middle": ["--hidden", "256", "--layers", "4", "--length", "64"],
}


class Arms:
    """One process per call of an arm; each returns its row."""

    def __init__(self, folder: Path, python: str, words: list[str]) -> None:
        self.folder = folder
        self.python = python
        self.words = words
        self.runs = 0

    def run(self, name: str) -> dict[str, Any]:
        self.runs += 1
        out = self.folder / f"{self.runs}.json"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TRAINWATCH_HOME": str(self.folder / "home"),
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_DIR": str(self.folder),
            "BENCH_OUT": str(out),
        }
        command = [self.python, str(SCRIPT), *self.words]
        served = None
        if name == "trainwatch":
            ours = str(Path(sys.executable).with_name("trainwatch"))
            command = [ours, "run", "--plain", "--", *command]
        elif name == "wandb":
            environment["BENCH_PEER"] = "wandb"
        elif name == "traceml":
            served = self._serve(environment)
        try:
            code, said = in_a_terminal(command, environment, self.folder)
        finally:
            if served is not None:
                served.terminate()
                served.wait()
        if code != 0:
            raise SystemExit(f"{name} failed:\n{said[-4000:]}")
        row: dict[str, Any] = json.loads(out.read_text().partition(" ")[2])
        return row

    def _serve(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        port, name = str(20_000 + self.runs * 7), f"r{self.runs}"
        logs = str(self.folder / "traceml")
        environment.update(
            BENCH_PEER="traceml",
            TRACEML_AGGREGATOR_PORT=port,
            TRACEML_RUN_NAME=name,
            TRACEML_SESSION_ID=name,
            TRACEML_LOGS_DIR=logs,
        )
        served = subprocess.Popen(
            [
                str(Path(self.python).with_name("traceml")),
                *("serve", "--run-name", name, "--logs-dir", logs),
                *("--aggregator-port", port, "--nproc-per-node", "1"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        time.sleep(4)
        return served


def in_a_terminal(
    command: list[str], environment: dict[str, str], folder: Path
) -> tuple[int, str]:
    """The exit code of `command`, and what it wrote to its terminal."""
    ours, its = pty.openpty()
    said = bytearray()

    def drain() -> None:
        while True:
            try:
                said.extend(os.read(ours, 65536))
            except OSError:
                return  # Nobody has the other end open.

    child = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    reader = threading.Thread(target=drain)
    reader.start()
    code = child.wait()
    reader.join(5)
    os.close(ours)
    return code, said.decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--peers", help="a Python with traceml-ai and wandb")
    args = parser.parse_args()
    names = ["bare", "trainwatch"]
    if args.peers:
        names += ["traceml", "wandb"]
    names.append("bare again")
    words = ["--steps", str(args.steps), *SIZES[args.size]]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="twb-") as folder:
        arms = Arms(Path(folder), args.peers or sys.executable, words)
        for number in range(args.processes):
            for name in names if number % 2 == 0 else reversed(names):
                rows[name].append(arms.run(name))
                print(f"{number} {name} {rows[name][-1]['median_ms']:.3f}", flush=True)
    report(rows)


def report(rows: dict[str, list[dict[str, Any]]]) -> None:
    def middle(name: str, figure: str) -> float:
        return statistics.median(row[figure] for row in rows[name])

    print(
        f"\n{'arm':<12} {'n':>3}  {'median':>9} {'added':>8}   {'p99':>9} {'added':>8}"
    )
    for name, measured in rows.items():
        median, p99 = middle(name, "median_ms"), middle(name, "p99_ms")
        print(
            f"{name:<12} {len(measured):>3}  {median:6.3f} ms "
            f"{median - middle('bare', 'median_ms'):+8.3f}   {p99:6.3f} ms "
            f"{p99 - middle('bare', 'p99_ms'):+8.3f}"
        )
    same = all(row["losses"] == rows["bare"][0]["losses"] for row in rows["trainwatch"])
    print(f"\nlosses with trainwatch are {'bit-identical' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
