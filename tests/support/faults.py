"""
The fault matrix: a child whose result and output are known, and what became of them.

The child is a plain Python program, so a row costs seconds: it works in steps, each
a phase of its own, and prints more than a terminal holds, so it would stand still at
once if nobody read.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.runs import Trainwatch, console, over, until

TABLE = os.environ.get("TRAINWATCH_FAULTS", "")
"""Where the page is written; asked for by `make faults`, which measures at length."""
HOLD_S = 10.0 if TABLE else 3.0
"""How long somebody stays stopped."""
STEPS = 160 if TABLE else 60
STEP_S = 0.05
FLOOD_MB = 200 if TABLE else 20
CODE = 7
SEEN_S = 3.0
"""The longest a step may take while something happens to us."""
NOT = "does not apply"
WORK = """\
import hashlib, json, sys, time
from trainwatch import phase
steps, step_s, side = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
digest, longest, last = b"", 0.0, time.monotonic()
{before}
for step in range(steps):
    with phase(f"work-{{step % 32}}"):
        digest = hashlib.sha256(digest + bytes([step % 256]) * 64).digest()
        time.sleep(step_s)
    print("step", step, digest.hex() * 16, flush=True)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
with open(side, "w") as file:
    more = globals().get("more", {{}})
    json.dump({{"result": digest.hex(), "longest": longest, **more}}, file)
{after}
sys.exit(7)
"""


@dataclass
class Row:
    """One fault; a cell that is None was not measured, which is a fault too."""

    name: str
    what: str
    result: str | None = None
    output: str | None = None
    events: str | None = None
    code: str | None = None
    takeover: str | None = None
    note: str = ""
    wrong: list[str] = field(default_factory=list)

    def check(self, column: str, right: bool, said: str, otherwise: str = "") -> None:
        """Fill a cell; where it is not right the row is wrong."""
        setattr(self, column, said if right else otherwise or f"no: {said}")
        if not right:
            self.wrong.append(f"{column}: {otherwise or said}")

    @property
    def cells(self) -> tuple[str | None, ...]:
        return (self.result, self.output, self.events, self.code, self.takeover)


@dataclass
class Work:
    """The child, started under watch or bare."""

    folder: Path
    """Where its script and what it writes lie."""
    steps: int = STEPS
    before: str = ""
    after: str = ""
    name: str = "work"

    def words(self) -> list[str]:
        script = self.folder / f"{self.name}.py"
        text = WORK.format(before=self.before, after=self.after)
        script.write_text(text)
        side = str(self.side)
        return [sys.executable, str(script), str(self.steps), str(STEP_S), side]

    @property
    def side(self) -> Path:
        return self.folder / f"{self.name}.json"

    def start(self, trainwatch: Trainwatch, *options: str, **more: Any) -> Path:
        """A detached run; its folder."""
        words = ("run", "--detach", *options, "--", *self.words())
        done = trainwatch(*words, **more)
        assert done.returncode == 0, done.stderr
        return trainwatch.home / "runs" / done.stdout.strip()

    def left(self) -> dict[str, Any]:
        """What the child itself says about its end."""
        try:
            found: dict[str, Any] = json.loads(self.side.read_text())
        except (OSError, ValueError):
            return {}
        return found


@functools.cache
def bare(steps: int) -> tuple[str, bytes]:
    """Result and output of the child alone; its times change neither."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        work = Work(Path(name), steps)
        words = work.words()
        words[3] = "0"
        done = subprocess.run(words, capture_output=True, check=False)
        assert done.returncode == CODE, done.stderr
        return work.left()["result"], done.stdout


def measure(
    row: Row, work: Work, folder: Path, *, takeover: float | None, within: float = 60
) -> dict[str, Any]:
    """Wait for the end of the run and fill every cell; the manifest."""
    ended = over(folder, within)
    row.takeover = NOT if takeover is None else f"{takeover:.1f} s"
    same_result(row, work)
    same_output(row, work, console(folder))
    count_events(row, work, folder)
    exact = (ended["status"], ended["exit_code"]) == ("failed", CODE)
    said = f"{ended['status']} {ended['exit_code']}"
    row.check("code", exact, "yes", said)
    return ended


def same_result(row: Row, work: Work) -> None:
    result, _ = bare(work.steps)
    left = work.left()
    longest = left.get("longest", 0.0)
    right = left.get("result") == result and longest < SEEN_S
    row.check(
        "result",
        right,
        f"yes; longest step {longest:.2f} s",
        f"{left.get('result')}, longest step {longest:.2f} s",
    )


def same_output(row: Row, work: Work, kept: bytes) -> None:
    _, printed = bare(work.steps)
    equal = hashlib.sha256(kept).digest() == hashlib.sha256(printed).digest()
    row.check("output", equal, "yes", f"{len(kept)} of {len(printed)} bytes")


def count_events(row: Row, work: Work, folder: Path) -> None:
    """The child's own events: a phase a step, and no hole in their numbers."""
    mine = [e for e in events(folder) if e["pid"] == child_of(folder)]
    told = sum(e.get("count", 1) for e in mine if e["type"] == "phase_ended")
    own = [e["seq"] for e in mine if e["type"] in FROM_PROBES]
    if any(e["type"] == "process_joined" for e in mine):
        own.append(1)  # A hello that nobody heard is followed by another.
    holes = max(own, default=0) - len(set(own))
    lost = max(work.steps - told, holes)
    row.check("events", lost == 0, f"0 of {len(own)}", f"{lost} ({told} steps told)")


FROM_PROBES = (
    *("process_joined", "process_left", "phase_ended", "probe_counted"),
    *("part_unseen", "probe_failed", "exception_raised", "metrics_logged"),
)


def child_of(folder: Path) -> int:
    pid: int = json.loads((folder / "run.json").read_text())["child"]
    return pid


def events(folder: Path) -> list[dict[str, Any]]:
    found = []
    for line in (folder / "events.jsonl").read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # Torn, where a disk was full.
    return found


def state_of(pid: int) -> str:
    """A process's state as the kernel says it; "" where there is none."""
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return data.rpartition(b")")[2].split()[0].decode()


def steps_done(folder: Path, count: int) -> None:
    until(lambda: console(folder).count(b"step ") >= count, f"{count} steps")


def seconds_until(condition: Any, what: str) -> float:
    began = time.monotonic()
    until(condition, what)
    return time.monotonic() - began


# --- the page ---

HEAD = """\
# Faults

What became of a run while something happened to us, or to the machine under it.
`make faults` plays every row and writes this page; the rows are the tests of
`tests/supervision/test_faults.py`, which are shorter without it. The child is a plain
program of {steps} steps of {step_s:g} s. It prints more than a terminal holds, so
that it would stand still if nobody read, and ends with exit code {code}. *Same
result*: its hash is that of a bare run, and no step took {seen:g} s. *Output equal*:
the sha256 of `console.log` against that of the bare run. *Events lost*: steps that were
not told, and holes in the numbers of what its probes sent. *Taken over*: seconds until
the one that was hit is replaced or goes on. Who is stopped stays so for {hold:g} s
unless somebody lets it go on.

This table is from {machine}.

{right} of {rows} rows are as they should be: nothing is lost that is not counted.
"""


def page(rows: Sequence[Row]) -> str:
    import platform

    head = HEAD.format(
        steps=STEPS,
        step_s=STEP_S,
        code=CODE,
        hold=HOLD_S,
        seen=SEEN_S,
        machine=f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores",
        right=sum(
            not row.wrong and "not counted" not in (row.events or "") for row in rows
        ),
        rows=len(rows),
    )
    columns = ("same result", "output equal", "events lost", "exit code", "taken over")
    lines = [
        f"| fault | {' | '.join(columns)} | |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for row in rows:
        cells = [cell or "**not measured**" for cell in row.cells]
        lines.append(f"| {row.what} | {' | '.join(cells)} | {row.note} |")
    return "\n".join([head, *lines, ""])
