"""
How long from the command to the child's first instruction, over bare Python.

Interleaved pairs in one run; the clock is the monotonic one, which parent and
child share. Prints medians and the difference, judges nothing.

    python benchmarks/startup.py [--pairs 10]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = "import time; open({path!r}, 'w').write(repr(time.monotonic()))"


def first_instruction(words: list[str], folder: Path) -> float:
    """Seconds from before the spawn until the child's first statement."""
    path = folder / f"{time.monotonic_ns()}"
    command = [*words, sys.executable, "-c", CHILD.format(path=str(path))]
    environment = {**os.environ, "TRAINWATCH_HOME": str(folder / "home")}
    began = time.monotonic()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return float(path.read_text()) - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    pairs = parser.parse_args().pairs
    watched = [str(Path(sys.executable).with_name("trainwatch")), "run", "--plain"]
    arms = {
        "bare": [],
        "watched, no probes": [*watched, "--no-probes", "--"],
        "watched": [*watched, "--"],
    }
    with tempfile.TemporaryDirectory(prefix="twb-") as name:
        folder = Path(name)
        taken: dict[str, list[float]] = {arm: [] for arm in arms}
        for words in arms.values():
            first_instruction(words, folder)  # fills the caches
        for _ in range(pairs):
            for arm, words in arms.items():
                taken[arm].append(first_instruction(words, folder))
    bare = statistics.median(taken["bare"])
    for arm, seconds in taken.items():
        middle = statistics.median(seconds)
        print(
            f"{arm:<20} median {middle * 1000:6.1f} ms   min {min(seconds) * 1000:6.1f}"
            f"   max {max(seconds) * 1000:6.1f}   over bare "
            f"{(middle - bare) * 1000:+6.1f} ms"
        )


if __name__ == "__main__":
    main()
