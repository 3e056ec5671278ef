"""
One request to all training processes of a run, at one agreed step.

One rank that saves or stops alone leaves the others waiting for ever, so several
ranks are asked for the same step, ahead of the furthest one. Where a rank was past
it already, the others are asked to forget it, and then all for a later step.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from trainwatch.probes import events as ev
from trainwatch.runner.commands import Access, training_ranks
from trainwatch.runner.state import Process

LEAD_STEPS = 2
LEAD_S = 0.5
"""How long the request may be on its way to the last rank."""
TRIES = 4


class Request:
    """
    Args:
        access: the supervisor.
        kind: `save`, `stop` or `finish`, which does both.
        id: of the command.
        folder: where a rescue checkpoint may go.
    """

    def __init__(self, access: Access, kind: str, id: str, folder: str = "") -> None:  # noqa: A002
        self.access = access
        self.kind = kind
        self.id = id
        self.folder = folder
        self.refusal = ""
        """Why it could not even be asked."""
        self.step: int | None = None
        """The agreed step; None for the next one."""
        self.asked: list[Process] = []
        self.answers: dict[int, ev.RequestFinished] = {}
        self._waiting: set[int] = set()
        self._tries = 0
        self._again = False
        self._ask()

    @property
    def settled(self) -> bool:
        return not self._waiting

    @property
    def done(self) -> list[ev.RequestFinished]:
        return [a for a in self.answers.values() if a.outcome == "done"]

    @property
    def detail(self) -> str:
        """Why it was not done."""
        return self.refusal or next(
            (a.detail for a in self.answers.values() if a.outcome != "done"), ""
        )

    @property
    def torn(self) -> bool:
        """Some ranks did it and others did not."""
        return bool(self.done) and len(self.done) < len(self.answers)

    def event(self, event: ev.Event) -> None:
        body = event.body
        if not isinstance(body, ev.RequestFinished) or body.id != self.id:
            return
        if event.pid not in self._waiting:
            return
        self._waiting.discard(event.pid)
        self.answers[event.pid] = body
        late = self.step is not None and body.step is not None
        if body.outcome == "refused" and late and (body.step or 0) >= (self.step or 0):
            self._again = True
            self._send(self._waiting, {"request": "cancel", "id": self.id})
        self._ask_again()

    def tick(self) -> None:
        """Who has ended, or hung up, will not answer."""
        for pid in list(self._waiting):
            process = self.access.state.processes.get(pid)
            if process is None or process.left is not None:
                self._waiting.discard(pid)
                self.answers[pid] = ev.RequestFinished(
                    id=self.id, outcome="failed", detail="its process ended"
                )
        self._ask_again()

    def _ask_again(self) -> None:
        if self._again and not self._waiting:
            self._again = False
            if not self.done and self._tries < TRIES:
                self._ask()

    def _ask(self) -> None:
        ranks = training_ranks(self.access)
        self.answers = {}
        world = max((process.world_size or 1 for process in ranks), default=1)
        if not ranks:
            self.refusal = "no training loop is running now"
            return
        if len(ranks) < world:
            self.refusal = (
                f"only {len(ranks)} of {world} ranks can be asked: these alone would "
                "leave the others waiting"
            )
            return
        self.step = agreed_step(ranks, [self._step_of(p) for p in ranks], self._tries)
        self._tries += 1
        self.asked = ranks
        message = {
            "request": self.kind,
            "id": self.id,
            "folder": self.folder,
            "at_step": self.step,
        }
        pids = {process.pid for process in ranks}
        self._waiting = self._send(pids, message)
        if self._waiting != pids:
            # A rank that does not take it will not stop: nobody must.
            self._send(self._waiting, {"request": "cancel", "id": self.id})
            self.refusal = "a training process did not take the request"

    def _step_of(self, process: Process) -> int:
        reading = self.access.flights.reading(process.pid)
        seen = reading.step if reading is not None else None
        return max(seen or 0, process.step or 0)

    def _send(self, pids: set[int], message: Mapping[str, object]) -> set[int]:
        """Send to each of `pids`; those that took it."""
        took = set()
        for pid in pids:
            connection = self.access.receiver.by_pid(pid)
            if connection is not None and self.access.receiver.request(
                connection, message
            ):
                took.add(pid)
        return took


def agreed_step(
    ranks: Sequence[Process], steps: Sequence[int], tries: int = 0
) -> int | None:
    """
    The step at which all ranks act; None means the next boundary, for a single one.

    Args:
        ranks: the training processes.
        steps: where each of them is now.
        tries: how often a step was past already when it was asked for.
    """
    if len(ranks) < 2:
        return None
    recent = [seconds for process in ranks for seconds in process.steps.recent]
    usual = statistics.median(recent) if recent else None
    ahead = LEAD_STEPS if not usual else max(LEAD_STEPS, math.ceil(LEAD_S / usual))
    return max(steps) + (ahead << tries)
