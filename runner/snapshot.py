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
from trainwatch.runner import memo, progress, salvage
from trainwatch.runner.commands import Command, training_ranks
from trainwatch.runner.console import Tail
from trainwatch.runner.files import write_atomically, write_json
from trainwatch.runner.requests import Request
from trainwatch.runner.saves import under_way
from trainwatch.runner.stack import Stacks
from trainwatch.runner.state import Checkpoint
from trainwatch.runner.text import duration, size, whole
from trainwatch.runner.verification import Verification

TAIL_LINES = 200
TAIL_BYTES = 1 << 18
REMIND_S = 10.0
SAVING_S = 1.0
VERIFY_S = 20.0
"""After the run's end: how long the checkpoint may be read."""


class Snapshot(Command):
    name = "snapshot"

    def begin(self, arguments: Mapping[str, Any], mono: float) -> None:
        last = salvage.recent(self.access.state, time.time())
        if last and not arguments.get("again"):
            self.finish("refused", f"{last}: `snapshot --again` takes another one")
            return
        self.began = self.told_at = mono
        self.taken = time.time()
        self.snapshot = next_folder(self.access.folder)
        self.stacks: Stacks | None = Stacks(self.access, mono)
        self.request: Request | None = None
        self.checks: list[Verification] = []
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
        if any(p.training is not None and not p.training.can_save for p in ranks):
            self.reason = "this training loop offers no step boundary to save at"
            return
        folder = str(self.snapshot / "checkpoint")
        self.request = Request(self.access, "save", self.id, folder)
        if self.request.refusal:
            self.reason, self.request = self.request.refusal, None
            return
        step = max(process.step or 0 for process in self.request.asked)
        self.progress(f"saving at the end of step {self.request.step or step + 1:,}")

    def event(self, event: ev.Event) -> None:
        if self.request is not None:
            self.request.event(event)

    def tick(self, mono: float) -> None:
        if self.stacks is not None and self.stacks.complete(mono):
            self._keep_stacks()
        if self.request is not None:
            self.request.tick()
            if self.request.settled and not self.checks:
                paths = {answer.path for answer in self.request.done if answer.path}
                self.checks = [Verification(Path(path)) for path in sorted(paths)]
        settled = self.request is None or self.request.settled
        if self.stacks is None and settled and self._checked():
            self._conclude()
            return
        saving = under_way(self.access.state, self.access.flights)
        if mono - self.told_at >= (SAVING_S if saving else REMIND_S):
            self.told_at = mono
            self.progress(self._waiting(mono))

    def _waiting(self, mono: float) -> str:
        waited = whole(mono - self.began)
        for process in under_way(self.access.state, self.access.flights):
            words = progress.words(process.phase, time.time())
            moved = words if process.phase.name == "save" else []
            return ", ".join((f"still saving after {waited}", *moved))
        if self.checks:
            return f"reading what was saved, {waited} so far"
        return f"waiting {waited} for the end of the step"

    def _checked(self) -> bool:
        return all(check.found() is not None for check in self.checks)

    def _keep_stacks(self) -> None:
        assert self.stacks is not None
        text = self.stacks.text().encode()
        write_atomically(self.snapshot / "stacks.txt", text + b"\n")
        self.stacks = None

    def child_ended(self, code: int | None) -> None:
        self.reason = self.reason or "the run ended before the step did"
        if self.stacks is not None:
            self._keep_stacks()
        for check in self.checks:
            check.found(VERIFY_S)
        self._conclude()

    def _conclude(self) -> None:
        for check in self.checks:
            self.access.emit(check.found() or check.so_far())
        known = self.access.state.checkpoints
        checked = {str(check.path): known[str(check.path)] for check in self.checks}
        request = self.request
        step = None
        if checked and request is not None:
            step = request.done[0].step
            outcome, detail = describe(checked)
        else:
            failed = request is not None and any(
                answer.outcome == "failed" for answer in request.answers.values()
            )
            outcome = "failed" if failed else "refused"
            reason = (request.detail if request is not None else "") or self.reason
            detail = (
                f"no checkpoint: {reason}; stacks, memory and last lines are in "
                f"{self.snapshot}"
            )
        kept = document(step, checked, outcome, detail)
        kept["taken"] = self.taken
        kept["seconds"] = round(time.time() - self.taken, 3)
        write_json(self.snapshot / "manifest.json", kept)
        self.finish(outcome, detail, next(iter(checked), str(self.snapshot)))


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


def spare_folder(run: Path) -> Path:
    """The same, not made yet: a loop makes it when it writes a rescue checkpoint."""
    number = 1
    while (run / "snapshots" / str(number)).exists():
        number += 1
    return run / "snapshots" / str(number)


def document(
    step: int | None, checked: Mapping[str, Checkpoint], outcome: str, detail: str
) -> dict[str, Any]:
    """What `manifest.json` says of a snapshot; several checkpoints are those of
    several ranks."""
    checkpoints = [
        {
            "path": path,
            "bytes": found.bytes,
            "seconds": found.seconds,
            "complete": found.complete,
            "resumable": found.resumable,
            "verified": found.verified,
            "detail": found.detail,
        }
        for path, found in checked.items()
    ]
    return {
        "schema": 1,
        "taken": time.time(),
        "step": step,
        "checkpoint": checkpoints[0] if checkpoints else None,
        "checkpoints": checkpoints,
        "outcome": outcome,
        "detail": detail,
    }


def describe(checked: Mapping[str, Checkpoint]) -> tuple[str, str]:
    """Outcome and one line for the person who asked."""
    for path, found in checked.items():
        if not found.complete:
            name = Path(path).name
            return "failed", f"saved, but not whole: {name}: {found.detail}"
    path, first = next(iter(checked.items()))
    total = sum(found.bytes or 0 for found in checked.values())
    took = f" in {duration(first.seconds)}" if first.seconds is not None else ""
    word = "saved and verified" if first.verified else "saved, not read whole yet"
    resumes = "the trainer can resume from it" if first.resumable else first.detail
    ranks = f" and {len(checked) - 1} more" if len(checked) > 1 else ""
    name = Path(path).name
    return "done", f"{word}: {name}{ranks}, {size(total)}{took}, {resumes}"
