"""
Where a step's time goes on a CUDA device, by the device's own clock.

The host's clock times the launch of the work there, not the work. So some steps
are sampled: at every border of a phase an event is recorded on the current
stream, and read when a later step ends, once `query` says that the device has
passed it. Nothing here waits for the device, and a step that is not sampled costs
one look at an attribute per border.

The time between two borders belongs to the phase that the host was in, with the
device's idle time in it. One device and its current stream are seen. While a graph
is captured nothing is recorded or asked.

Not run on hardware: tested with a clock that stands in for the device's.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Tuple

from .events import PHASES, STEP_PHASES, DeviceTimed
from .guard import guarded, switch_off
from .process import Process
from .timeline import Timeline

FIRST = 3
"""Steps that are sampled one soon after the other; then one in EVERY."""
EVERY = 10
SHARE = 0.001
"""What sampling may take of the host's time; it becomes rarer until it does."""
MOST = 256
"""Borders of one step; a step with more is not sampled."""
PATIENCE = 8
"""Steps after which a sample that the device has not passed is given up."""


class CudaEvents:
    """
    Timing events on the current stream of one device of `torch.cuda` (also ROCm).

    Another clock has the same five methods; none of them may wait.
    """

    def __init__(self, cuda: Any, device: int) -> None:
        self.name = "cuda events on cuda:%d" % device
        self._cuda = cuda
        self._device = device
        self._free: List[Any] = []

    def closed(self) -> bool:
        """A graph is being captured: an event would break it."""
        return bool(self._cuda.is_current_stream_capturing())

    def record(self) -> Any:
        """An event behind the work that was launched so far."""
        free = self._free
        event = free.pop() if free else self._cuda.Event(enable_timing=True)
        event.record(self._cuda.current_stream(self._device))
        return event

    def query(self, event: Any) -> bool:
        """The device has passed `event`."""
        return bool(event.query())

    def elapsed(self, first: Any, second: Any) -> float:
        """Device seconds between two events that it has passed."""
        return float(first.elapsed_time(second)) / 1000

    def release(self, events: List[Any]) -> None:
        """These events will not be asked again."""
        self._free = events


class Sampler:
    """
    Samples steps of `timeline`.

    The connection's thread says that a step is due (`tick`) and asks nothing of
    the device: from another thread a query would break a capture. All else happens
    on the training thread, at borders.
    """

    def __init__(
        self,
        timeline: Timeline,
        events: Any,
        emit: Callable[[Any], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._timeline = timeline
        self._events = events
        self._emit = emit
        self._clock = clock
        self._off = False
        self._due = 0
        self._sampled = 0
        self._seen = -1
        """`timeline.steps` at the last border, -1 before the first one."""
        self._borders: List[Tuple[Any, str]] = []
        """Events, each with the phase that runs from there on."""
        self._whole = False
        """The step of these borders has ended."""
        self._step = 0
        self._later = 0
        """Steps that ended after the sampled one."""
        self._entered = self._began = 0.0
        self._seconds = 0.0
        """Of the sampled step, by the host's clock."""
        self._cost = 0.0
        """Of its borders."""

    def tick(self, now: float) -> None:
        """Listen for the next step where one is due."""
        timeline = self._timeline
        if (
            timeline.marks is None
            and timeline.training
            and timeline.steps >= self._due
            and not self._off
        ):
            self._seen = -1
            timeline.marks = self.border

    def border(self, phase: str) -> None:
        """`phase` runs from now on. Never raises."""
        timeline = self._timeline
        if not timeline.training:
            self._rest()
            return
        ended = self._seen >= 0 and timeline.steps != self._seen
        self._seen = timeline.steps
        recording = bool(self._borders) and not self._whole
        if not ended and not recording:
            return
        self._entered = now = self._clock()
        try:
            if self._events.closed():
                self._rest()
            elif self._whole:
                self._read()
            else:
                self._record(phase, ended, now)
        except Exception as error:
            self._off = True
            self._rest()
            switch_off("device", error)
        self._cost += self._clock() - now

    def _record(self, phase: str, ended: bool, now: float) -> None:
        if not self._borders:
            self._began, self._cost = now, 0.0
            ended = False
        self._borders.append((self._events.record(), phase))
        if ended:
            self._whole = True
            self._step, self._later = self._timeline.step, 0
            self._seconds = now - self._began
        elif len(self._borders) >= MOST:
            self._rest()

    def _read(self) -> None:
        """A later step has ended: tell the sampled one if the device is past it."""
        self._later += 1
        borders, events = self._borders, self._events
        if not events.query(borders[-1][0]):
            if self._later >= PATIENCE:
                self._rest()
            return
        phases: Dict[str, float] = {}
        for (event, phase), (following, _) in zip(borders, borders[1:]):
            if phase in STEP_PHASES or phase not in PHASES:
                seconds = events.elapsed(event, following)
                phases[phase] = phases.get(phase, 0.0) + seconds
        phases = {name: round(seconds, 6) for name, seconds in phases.items()}
        self._sampled += 1
        self._emit(
            DeviceTimed(
                step=self._step,
                seconds=round(sum(phases.values()), 6),
                phases=phases,
                sampled=self._sampled,
                steps=self._timeline.steps,
                kind=events.name,
            )
        )
        self._rest()

    def _rest(self) -> None:
        """Listen no more until the next sample is due."""
        self._timeline.marks = None
        self._events.release([event for event, _ in self._borders])
        self._borders, self._whole = [], False
        steps = 0
        if self._sampled >= FIRST:
            cost = self._cost + self._clock() - self._entered
            affordable = cost / (SHARE * self._seconds) if self._seconds else 0.0
            steps = max(EVERY, int(affordable))
        self._due = self._timeline.steps + steps


@guarded("device")
def watch(process: Process, devices: Dict[str, int]) -> None:
    """
    Sample the steps of a model that lies on `devices`, where it is one of CUDA's.

    With several of them in one process the events of one would stand for all, and
    on MPS each timing waits for the device: there only the host's clock is told.
    """
    found = [name for name in devices if name.startswith("cuda")]
    loop, timeline = process.loop, process.timeline
    if len(found) != 1 or loop is None or timeline is None or process.sampler:
        return
    cuda = loop.torch.cuda
    index = found[0].partition(":")[2]
    events = CudaEvents(cuda, int(index) if index else int(cuda.current_device()))
    process.sampler = Sampler(timeline, events, process.emit)
    process.ticks.append(process.sampler.tick)
