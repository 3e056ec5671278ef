"""
This process as the probes share it: who it is, its line, its timeline.
"""

from __future__ import annotations

import os
import sys
import time

from .connection import Connection
from .cost import StepCost
from .guard import meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple

    from .cautions import Fold
    from .commands import Requests
    from .device import Sampler
    from .events import ModelDescribed
    from .loop import Loop
    from .memory import Sampler as MemorySampler
    from .timeline import Timeline

VERSION = "1"
COUNT_S = 2.0
SPECIAL = ("multiprocessing.resource_tracker", "semaphore_tracker", "forkserver")


class Process:
    """
    What the probes of one process have in common.

    `timeline` and `requests` are None until a training library is imported;
    before that there is nothing to time and nothing to ask.
    """

    def __init__(self, address: str, folder: str) -> None:
        self.folder = os.path.join(folder, "flight")
        self.argv = command_line()
        self.role = role_of(self.argv, os.environ)
        self.rank = number("RANK")
        self.pid = os.getpid()
        self.silent = False
        self.timeline: Optional[Timeline] = None
        self.requests: Optional[Requests] = None
        self.loop: Optional[Loop] = None
        self.endings: List[Callable[[], None]] = []
        """Called when the interpreter ends, before the line does."""
        self.stack_signal: Optional[int] = None
        self.stack_file: Optional[str] = None
        self.devices: Set[str] = set()
        """Kinds of devices that models of this process were seen on."""
        self.sampler: Optional[Sampler] = None
        """Times steps by the device's clock, where it has one."""
        self.memory: Optional[MemorySampler] = None
        """Samples what this process holds."""
        self.cautions: Optional[Fold] = None
        self.keep: List[Any] = []
        """What must live as long as the process."""
        self.ticks: List[Callable[[float], None]] = []
        self.identified = False
        """Training was seen here."""
        self._missed: Dict[str, str] = {}
        self._untold: List[str] = []
        self._counted = 0.0
        self._told = 0
        self.cost = StepCost(meter)
        self.connection = Connection(
            address, self._hello, self._request, self._tick, self.rank
        )

    def emit(self, body: Any) -> None:
        """Queue an event; never raises, never waits."""
        self.connection.emit(body)

    def where(self) -> Tuple[str, Optional[int]]:
        """The phase that runs now and the steps done."""
        return ("start", None) if self.timeline is None else self.timeline.current()

    def prepare(self) -> None:
        """A training library comes: the flight record and the timeline begin."""
        if self.timeline is not None or self.silent:
            return
        from .commands import Requests
        from .timeline import Timeline, open_record

        self.requests = Requests(self.emit)
        record = open_record(self.folder)
        self.timeline = Timeline(record, self.emit)
        if record is not None:
            self.connection.said = record.said
        else:
            self.miss(
                "flight record", "it cannot be written, so phases are seen as they end"
            )

    def describe(self, model: ModelDescribed) -> None:
        """Tell what is trained, and remember where it is."""
        self.devices.update(device.partition(":")[0] for device in model.devices)
        self.emit(model)
        if "cuda" in self.devices:
            from .device import watch

            watch(self, model.devices)

    def identify(self, evidence: str) -> None:
        """First evidence of training: this process is a rank."""
        if self.identified or self.silent:
            return
        self.identified = True
        from .events import RankIdentified

        self.role = "rank"
        rank, world_size = place()
        self.rank = self.connection.rank = rank
        self.emit(
            RankIdentified(
                evidence=evidence,
                local_rank=number("LOCAL_RANK"),
                world_size=world_size,
            )
        )

    def count(self) -> None:
        """Tell the probes' own cost."""
        cost = self.cost.mean
        self.connection.say(
            "probe_counted",
            {
                "events": self.connection.events,
                "dropped": self.connection.dropped,
                "errors": meter.errors + self.connection.errors,
                "step_cost_s": None if cost is None else round(cost, 9),
            },
        )

    def silence(self) -> None:
        """A forked child says nothing."""
        self.silent = True
        self.connection.silence()
        if self.timeline is not None:
            self.timeline.silence()

    def fail(self, probe: str, error: str) -> None:
        """A probe switched itself off."""
        self.connection.say("probe_failed", {"probe": probe, "error": error[:500]})

    def miss(self, what: str, why: str) -> None:
        """What cannot be seen here, and why; told once, with the next tick: during
        a fork the line may not wake up."""
        if what not in self._missed:
            self._missed[what] = why
            self._untold.append(what)

    def tell_missed(self) -> None:
        while self._untold:
            what = self._untold.pop()
            self.connection.say(
                "part_unseen", {"what": what, "why": self._missed[what]}
            )

    def _hello(self) -> Dict[str, Any]:
        return {
            "argv": self.argv or list(getattr(sys, "argv", [])),
            "executable": sys.executable or "",
            "python": sys.version.split()[0],
            "role": self.role,
            "parent": os.getppid(),
            "local_rank": number("LOCAL_RANK"),
            "world_size": number("WORLD_SIZE"),
            "stack_signal": self.stack_signal,
            "stack_file": self.stack_file,
            "flight": os.path.join(self.folder, str(self.pid)),
            "probe_version": VERSION,
        }

    def _request(self, request: Dict[str, Any]) -> None:
        if self.requests is not None:
            self.requests.ask(request)
            return
        self.connection.say(
            "request_finished",
            {
                "id": str(request.get("id", "")),
                "outcome": "refused",
                "detail": "no training has begun in this process",
            },
        )

    def _tick(self) -> None:
        now = time.monotonic()
        timeline = self.timeline
        if timeline is not None:
            if timeline.record is not None:
                timeline.record.beat()
            timeline.flush(0.2)
        self.tell_missed()
        for tick in self.ticks:
            tick(now)
        if timeline is not None and now - self._counted >= COUNT_S:
            self._counted = now
            if self.connection.events != self._told:
                self.count()
                self._told = self.connection.events


def number(name: str) -> Optional[int]:
    """The environment variable `name` as a number, or None."""
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else None


def place() -> Tuple[Optional[int], Optional[int]]:
    """
    Rank and world size: of the process group where there is one (ranks of
    `torch.multiprocessing.spawn` have no variables), else of the environment.
    """
    distributed: Any = sys.modules.get("torch.distributed")
    if (
        distributed is not None
        and distributed.is_available()
        and distributed.is_initialized()
    ):
        return int(distributed.get_rank()), int(distributed.get_world_size())
    return number("RANK"), number("WORLD_SIZE")


def command_line() -> List[str]:
    """The command of this process, also while `sys.argv` is not set yet."""
    argv = getattr(sys, "orig_argv", None)
    if argv:
        return list(argv)
    try:
        with open("/proc/self/cmdline", "rb") as file:
            parts = file.read().split(b"\0")[:-1]
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in parts]


def role_of(argv: List[str], environ: Any) -> str:
    """`launcher`, `rank`, `worker` or `other`; "" for a process not to watch."""
    head = " ".join(argv[:8])
    if any(name in head for name in SPECIAL) or "compile_worker" in head:
        return ""
    if "--multiprocessing-fork" in argv:
        return "worker"
    names = [os.path.basename(part) for part in argv[:3]]
    if any(name in ("torchrun", "accelerate", "deepspeed") for name in names):
        return "launcher"
    if any(
        module in head
        for module in ("torch.distributed.run", "torch.distributed.launch")
    ) or ("accelerate.commands" in head):
        return "launcher"
    return "rank" if environ.get("LOCAL_RANK", "").isdigit() else "other"
