"""`runs`, `show`, `events`: what is known, as text or JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import resume, room, salvage
from trainwatch.runner.catalog import summaries
from trainwatch.runner.document import SCHEMA, moment, show_document
from trainwatch.runner.durations import usual
from trainwatch.runner.errors import UsageError
from trainwatch.runner.follow import Follower
from trainwatch.runner.home import find_run
from trainwatch.runner.manifest import read
from trainwatch.runner.state import Checkpoint, Process
from trainwatch.runner.text import duration, flat, plain, size
from trainwatch.runner.view import RunView, look

POLL_S = 0.2


def runs(options: argparse.Namespace) -> int:
    found = summaries()
    if options.json:
        items = [
            {
                "id": run.id,
                "name": run.name,
                "command": run.command,
                "status": run.status,
                "verdict": run.verdict or None,
                "started": moment(run.started),
                "ended": moment(run.ended),
                "step": run.step,
                "max_steps": run.max_steps,
                "home": str(run.folder),
            }
            for run in found
        ]
        print(json.dumps({"schema": SCHEMA, "runs": items}, indent=1))
        return 0
    if not found:
        print("no runs yet: start one with `trainwatch run -- python train.py`")
        return 0
    wide = max(len(plain(run.name)) for run in found)
    for run in found:
        began = time.strftime("%m-%d %H:%M", time.localtime(run.started or 0))
        step = "" if run.step is None else f"step {run.step}"
        if run.step is not None and run.max_steps:
            step += f"/{run.max_steps}"
        state = run.verdict or run.status
        line = f"{run.id}  {state:<9} {plain(run.name):<{wide}}  {began}  {step:<14} "
        print(flat(line + run.command))
    return 0


def show(options: argparse.Namespace) -> int:
    folder = find_run(options.run)
    read(folder)
    view = look(folder)
    if options.json:
        print(json.dumps(show_document(view, folder), indent=1))
    else:
        print("\n".join(flat(line) for line in _show_lines(view)))
    return 0


def _show_lines(view: RunView) -> list[str]:
    state, verdict = view.state, view.verdict
    run = state.run
    lines = [
        f"{run.name}  {' '.join(run.argv)}",
        f"{verdict.state.upper()}  {' · '.join(f for f in verdict.facts if f)}"
        + (f"  ({duration(verdict.age_s)} ago)" if verdict.age_s is not None else ""),
    ]
    if not view.supervised:
        lines.append("nobody supervises it: no new events are kept")
    for process in state.ranks:
        lines += _process_lines(process)
    counts: dict[str, int] = {}
    for warning in state.warnings.values():
        counts[warning.severity] = counts.get(warning.severity, 0) + 1
    if counts:
        told = ", ".join(f"{count} {severity}" for severity, count in counts.items())
        lines.append(f"warnings: {told}  (trainwatch review {run.id})")
    for checkpoint in state.checkpoints.values():
        lines.append(f"checkpoint: {checkpoint.path}  {_health(checkpoint)}")
    following = room.room(state)
    if following is not None:
        lines.append(
            f"next checkpoint: about {size(following.needs)} (as {following.by}), "
            f"{size(following.free)} free{'' if following.fits else ': does not fit'}"
        )
    lines += [line for line in (salvage.resume_line(state),) if line and state.over]
    for command in state.commands:
        outcome = command.outcome or "under way"
        lines.append(f"{command.command}: {outcome}: {command.detail}")
    return lines


def _health(checkpoint: Checkpoint) -> str:
    if checkpoint.detail == salvage.REMOVED:
        return salvage.REMOVED
    if checkpoint.complete is False:
        return f"not complete: {checkpoint.detail}"
    resumable = {True: "resumable", False: "not resumable", None: ""}
    read = ", read whole" if checkpoint.verified else ""
    known = f"{size(checkpoint.bytes)} {resumable[checkpoint.resumable]}".rstrip()
    return known + read


def _process_lines(process: Process) -> list[str]:
    rank = "process" if process.rank is None else f"rank {process.rank}"
    memory = process.memory
    held = memory.allocated if memory.allocated is not None else memory.rss
    lines = [
        f"{rank} {process.pid}: {memory.device}, {size(held)} now, peak "
        f"{size(memory.peak)}"
    ]
    card = resume.line(process, process.left or time.time())
    lines += [f"  {card}"] if card else []
    for name, stat in process.phases.items():
        middle = usual(stat)
        told = "" if middle is None else f", usual {duration(middle)}"
        lines.append(
            f"  {name:<10} x{stat.count:<5} {duration(stat.total_s):>12} in all{told}"
        )
    if process.trainable and process.trainable.percent is not None:
        trainable = process.trainable
        lines.append(
            f"  trainable  {trainable.parameters:,} of {trainable.total:,} "
            f"({trainable.percent:.4f} %)"
        )
    return lines


def events(options: argparse.Namespace) -> int:
    if options.type and options.type not in ev.TYPES:
        raise UsageError(
            f"there is no event type {options.type!r}: {', '.join(sorted(ev.TYPES))}"
        )
    folder = find_run(options.run)
    follower = Follower(folder)
    while True:
        lines = follower.lines()
        for line in lines:
            if options.type is None or _type(line) == options.type:
                sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
        if lines:
            continue
        if not options.follow or read(folder).over:
            return 0
        time.sleep(POLL_S)


def _type(line: bytes) -> Any:
    try:
        return json.loads(line).get("type")
    except (ValueError, AttributeError):
        return None
