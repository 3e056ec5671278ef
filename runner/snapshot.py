"""
A snapshot: a checkpoint at a step boundary, and what was known at that moment.

It is taken by the training loop itself, so that it is consistent, and looked at
afterwards. Where no checkpoint can be made the rest is still kept, and the
outcome says which of the two happened.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import checkpoints, memo
from trainwatch.runner.commands import Command, request_all, training_ranks
from trainwatch.runner.console import Tail
from trainwatch.runner.files import write_atomically, write_json
from trainwatch.runner.stack import Stacks
from trainwatch.runner.text import duration, size

TAIL_LINES = 200
TAIL_BYTES = 1 << 18
REMIND_S = 10.0


class Snapshot(Command):
    name = "snapshot"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        self.began = self.reminded = mono
        self.taken = time.time()
        self.snapshot = next_folder(self.access.folder)
        self.stacks: Stacks | None = Stacks(self.access, mono)
        self.waiting: set[int] = set()
        self.answers: dict[int, ev.RequestFinished] = {}
        self.reason = ""
        self._keep_state()
        self._ask()

    def _keep_state(self) -> None:
        state = self.access.state
        write_json(self.snapshot / "state.json", memo.plain(state))
        write_json(
            self.snapshot / "memory.json",
            {
                "host": memo.plain(state.host),
                "processes": {
                    str(process.pid): {
                        "rank": process.rank,
                        "memory": memo.plain(process.memory),
                        "ledger": memo.plain(process.ledger),
                    }
                    for process in state.processes.values()
                },
            },
        )
        tail = Tail(self.access.folder, from_end=TAIL_BYTES, keep=TAIL_LINES)
        while tail.read():
            pass
        lines = "\n".join(tail.shown())
        write_atomically(self.snapshot / "tail.txt", lines.encode() + b"\n")
        tail.close()

    def _ask(self) -> None:
        ranks = training_ranks(self.access)
        if not ranks:
            self.reason = "no training loop is running now"
            return
        training = ranks[0].training
        if training is None or not training.can_save:
            self.reason = "this training loop offers no step boundary to save at"
            return
        asked = request_all(
            self.access,
            {
                "request": "save",
                "id": self.id,
                "folder": str(self.snapshot / "checkpoint"),
            },
        )
        self.waiting = {process.pid for process in asked}
        if not asked:
            self.reason = "the training process did not take the request"
            return
        step = max(process.step or 0 for process in asked)
        self.progress(f"saving at the end of step {step + 1}")

    def event(self, event: ev.Event) -> None:
        body = event.body
        if isinstance(body, ev.RequestFinished) and body.id == self.id:
            self.waiting.discard(event.pid)
            self.answers[event.pid] = body

    def tick(self, mono: float) -> None:
        if self.stacks is not None and self.stacks.complete(mono):
            write_atomically(
                self.snapshot / "stacks.txt", self.stacks.text().encode() + b"\n"
            )
            self.stacks = None
        if self.stacks is None and not self.waiting:
            self._conclude(mono)
        elif mono - self.reminded > REMIND_S:
            self.reminded = mono
            self.progress(
                f"waiting {duration(mono - self.began)} for the step to end and the "
                "checkpoint to be written"
            )

    def child_ended(self, code: int | None) -> None:
        self.reason = self.reason or "the run ended before the step did"
        self.waiting.clear()
        if self.stacks is not None:
            text = self.stacks.text().encode()
            write_atomically(self.snapshot / "stacks.txt", text + b"\n")
            self.stacks = None
        self._conclude(self.began)

    def _conclude(self, mono: float) -> None:
        saved = [a for a in self.answers.values() if a.outcome == "done" and a.path]
        failed = [a for a in self.answers.values() if a.outcome != "done"]
        document: dict[str, Any] = {
            "schema": 1,
            "taken": self.taken,
            "step": next((a.step for a in saved), None),
            "checkpoint": None,
        }
        beside = f"stacks, memory and last lines are in {self.snapshot}"
        if saved:
            path = Path(saved[0].path)
            verified = verify(path)
            document["checkpoint"] = {"path": str(path), **vars(verified)}
            outcome, detail = describe(path, verified, mono - self.began)
        else:
            outcome = (
                "failed" if failed and failed[0].outcome == "failed" else "refused"
            )
            reason = failed[0].detail if failed else self.reason
            detail = f"no checkpoint: {reason}; {beside}"
        document["outcome"] = outcome
        document["detail"] = detail
        write_json(self.snapshot / "manifest.json", document)
        self.finish(outcome, detail, saved[0].path if saved else str(self.snapshot))


def next_folder(run: Path) -> Path:
    """`snapshots/<n>` with the lowest free number, made."""
    parent = run / "snapshots"
    parent.mkdir(exist_ok=True, mode=0o700)
    number = 1
    while True:
        try:
            (parent / str(number)).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return parent / str(number)


def verify(path: Path) -> ev.CheckpointSeen:
    """What is really there: a checkpoint folder, or our rescue file."""
    try:
        if path.is_dir():
            return checkpoints.inspect(path)
        return ev.CheckpointSeen(
            path=str(path),
            bytes=path.stat().st_size,
            complete=path.stat().st_size > 0,
            resumable=False,
            detail="rescue checkpoint: the script itself cannot resume from it",
        )
    except OSError as error:
        return ev.CheckpointSeen(path=str(path), complete=False, detail=str(error))


def describe(
    path: Path, verified: ev.CheckpointSeen, seconds: float
) -> tuple[str, str]:
    """Outcome and one line for the person who asked."""
    facts = f"{path.name}, {size(verified.bytes)}, after {duration(seconds)}"
    if not verified.complete:
        return "failed", f"saved, but not whole: {facts}: {verified.detail}"
    if verified.resumable:
        return "done", f"saved and verified: {facts}, the trainer can resume from it"
    return "done", f"saved: {facts}; {verified.detail or 'not resumable'}"
