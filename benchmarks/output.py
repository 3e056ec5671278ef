"""
How fast a child can print 200 MB under watch, beside a bare terminal that is read.

    python benchmarks/output.py [--mb 200] [--pairs 5]

Both arms give the child a terminal: bare, `cat` reads it into a file; watched, it is a
detached run. The child itself tells how long its writing took. Two kinds of output:
lines of 100 bytes through `print`, and raw blocks of 1 MB. Arms are interleaved, their
order turned round every time. The sha256 of what was kept must be that of what was
written; the speeds are printed as medians and not judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trainwatch.runner.launch import unchanged_output

LINE = b"x" * 99 + b"\n"
CHILDREN = {
    "lines": "for n in range({mb} * 10_000): print('x' * 99)\nsys.stdout.flush()",
    "raw": "for n in range({mb}): sys.stdout.buffer.write(block)\n"
    "sys.stdout.buffer.flush()",
}
CHILD = """\
import json, sys, time
block = (b"x" * 99 + b"\\n") * 10_000
began = time.monotonic()
{write}
took = time.monotonic() - began
with open(sys.argv[1], "w") as file: json.dump(took, file)
"""


def bare(words: list[str], folder: Path) -> Path:
    """The child on a terminal of its own that is read into a file."""
    kept = folder / "bare.log"
    master, slave = pty.openpty()
    unchanged_output(slave)
    child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    with kept.open("wb") as file:
        # It ends with an error of the terminal, once nobody holds the other side.
        subprocess.run(
            ["cat"], stdin=master, stdout=file, stderr=subprocess.DEVNULL, check=False
        )
    os.close(master)
    child.wait()
    return kept


def watched(words: list[str], folder: Path) -> Path:
    """The same as a detached run, until it is over."""
    home = folder / "home"
    program = str(Path(sys.executable).with_name("trainwatch"))
    done = subprocess.run(
        [program, "run", "--detach", "--", *words],
        env={**os.environ, "TRAINWATCH_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    run = home / "runs" / done.stdout.strip()
    while json.loads((run / "run.json").read_text())["status"] in (
        "starting",
        "running",
    ):
        time.sleep(0.1)
    return run / "console.log"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    written = hashlib.sha256()
    for _ in range(options.mb):
        written.update(LINE * 10_000)
    arms = {"bare": bare, "watched": watched}
    for kind, write in CHILDREN.items():
        speeds: dict[str, list[float]] = {arm: [] for arm in arms}
        for pair in range(options.pairs):
            for arm in sorted(arms, reverse=pair % 2 == 1):
                with tempfile.TemporaryDirectory(prefix="twb-") as name:
                    folder = Path(name)
                    side = folder / "took.json"
                    text = CHILD.format(write=write.format(mb=options.mb))
                    words = [sys.executable, "-c", text, str(side)]
                    kept = arms[arm](words, folder)
                    if sha256(kept) != written.hexdigest():
                        sys.exit(f"{arm}, {kind}: the output is not what was written")
                    speeds[arm].append(options.mb / json.loads(side.read_text()))
        middle = {arm: statistics.median(found) for arm, found in speeds.items()}
        print(
            f"{kind:<6}"
            + "".join(
                f" {arm} {middle[arm]:6.1f} MB/s ({min(found):.1f} to {max(found):.1f})"
                for arm, found in speeds.items()
            )
            + f"  ratio {middle['watched'] / middle['bare']:.2f}, sha256 equal"
        )


if __name__ == "__main__":
    main()
