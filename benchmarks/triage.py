"""
What triage costs on a long log: time and memory of `trainwatch triage FILE`.

The log is made up, but shaped as the logs of eight ranks are: progress bars that
end in a carriage return, metrics, logged lines, warnings with their source line,
tracebacks that are caught, and lines that no rule knows. It is run at a fifth of
its length and at all of it; memory that does not grow is flat.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

WARNINGS = (
    "/opt/v/lib/python3.11/site-packages/torch/utils/checkpoint.py:85: UserWarning: "
    "None of the inputs have requires_grad=True. Gradients will be None\n"
    "  warnings.warn(\n",
    "[transformers] `torch_dtype` is deprecated! Use `dtype` instead!\n",
    "WARNING: tokenization mismatch: {a} vs. {b}. (ignored)\n",
    "Token indices sequence length is longer than the specified maximum sequence "
    "length for this model ({a} > 1024). Running this sequence through the model "
    "will result in indexing errors\n",
    "2026-03-01 10:11:12,{b:03d} - mylib.loader - WARNING - shard {a} came late\n",
    "wandb: 429 encountered (Filestream rate limit exceeded, retrying in 2.{b} s)\n",
)
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/w/train.py", line {a}, in fetch\n'
    "    return get(url)\n"
    '  File "/opt/v/lib/python3.11/site-packages/requests/api.py", line 73, in get\n'
    '    return request("get", url, params=params, **kwargs)\n'
    "ConnectionError: host {b} did not answer\n"
)


def log(lines: int, seed: int = 7) -> Iterator[str]:
    """Pieces of a log with about `lines` lines."""
    source = random.Random(seed)
    made = 0
    step = 0
    while made < lines:
        step += 1
        a, b = source.randrange(1, 5000), source.randrange(1, 999)
        loss = 2.5 * 0.9999**step + source.random() / 10
        done, clock = step % 100, f"01:{b % 60:02d}<{a}"
        yield f"\r{done:3d}%|####      | {step}/99999 [{clock}, 2.8s/it]"
        yield (
            f"{{'loss': {loss:.4f}, 'grad_norm': {source.random():.6f}, "
            f"'learning_rate': {a}e-08, 'epoch': {step / 1000:.2f}}}\n"
        )
        yield (
            f"[rank{step % 8}]: step {step} tokens {a * 7} seconds 0.{b} "
            f"memory {b / 10:.1f} GB\n"
        )
        yield (
            f"2026-03-01 10:11:12,{b:03d} - INFO - mylib.data - batch {step} of shard "
            f"{a}, {b} rows, ids {a * b}\n"
        )
        yield f"sample {a}: the quick brown fox {b} jumps over {a + b} lazy dogs\n"
        made += 4
        if step % 12 == 0:
            text = source.choice(WARNINGS).format(a=a, b=b)
            made += text.count("\n")
            yield text
        if step % 500 == 0:
            made += TRACEBACK.count("\n")
            yield TRACEBACK.format(a=a, b=b)


def measured(lines: int, folder: Path) -> tuple[float, float, int]:
    """Seconds on one core, highest memory in MB, size in bytes."""
    path = folder / "long.log"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(log(lines))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # A child of its own for each, as the highest memory is that of all children.
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-m", "trainwatch", "triage", str(path), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(done.stdout) / 1000, path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder:
        for count in (lines // 5, lines):
            seconds, memory, size = measured(count, Path(folder))
            print(
                f"{count:,} lines ({size / 1e6:.0f} MB): {seconds:.1f} s of one core, "
                f"highest memory {memory:.0f} MB"
            )


if __name__ == "__main__":
    main()
