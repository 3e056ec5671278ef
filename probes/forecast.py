"""
Whether what comes next will fit, said before it runs.

Three times: when a trainer begins (what the first optimizer step will hold), just
before the first `optimizer.step` (the same, exactly), and after it (the backward of
the next step, which finds the optimizer's state beside it). Again where the
optimizer's groups change. Each forecast is compared with what came of it.

The second one is waited for, SOON_S at most: a process that runs out of memory may
be killed in the call that follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from . import limits
from .events import Forecast, ForecastMet, LedgerMeasured
from .guard import guarded
from .jump import (
    FOR_LOOP,
    FOREACH,
    FUSED,
    Jump,
    gradients_to_come,
    in_place_of,
    jump,
    may_fuse,
    unwrapped,
)
from .limits import Line, Reading
from .process import Process

SOON_S = 0.05


@dataclass(frozen=True)
class Peaks:
    """The most that was held so far: by the device or in RAM, and of addresses."""

    held: Optional[int] = None
    mapped: Optional[int] = None

    def by(self, line: Line) -> Optional[int]:
        """As it counts against `line`."""
        return self.mapped if line.name == limits.ADDRESS_SPACE else self.held


class Forecaster:
    """The forecasts of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._began = Peaks()
        """When training began."""
        self._before: Optional[Tuple[Forecast, Reading, Peaks, bool]] = None
        """The step that is about to run: its forecast, what was held then, whether
        the optimizer had no state."""
        self._coming: Optional[Tuple[Forecast, Line, int, int]] = None
        """A backward that was forecast: against which limit, what was held, and the
        peak until then."""
        process.ticks.append(self.tick)

    @guarded("forecast")
    def at_begin(self, optimizer: Any) -> None:
        """A trainer begins with `optimizer`, or with none that is known yet."""
        read = self._read()
        self._began = peaks(read)
        if optimizer is None or read is None:
            return
        optimizer = unwrapped(optimizer)
        expected = jump(optimizer, all_train=True)
        if expected is None:
            return
        gradients = gradients_to_come(optimizer)
        self._tell(
            "train begin",
            self._next_step(),
            optimizer,
            read,
            expected,
            gradients,
        )

    @guarded("forecast")
    def before_step(self, optimizer: Any, step: int) -> None:
        """`optimizer` is about to take step number `step`, with these groups for the
        first time."""
        read = self._read()
        if read is None:
            return
        expected = jump(optimizer)
        fresh = not getattr(optimizer, "state", None)
        told = self._tell("optimizer", step, optimizer, read, expected, 0)
        self._before = told, read, peaks(read), fresh
        self._process.connection.hurry(SOON_S)

    @guarded("forecast")
    def after_step(self, ledger: LedgerMeasured) -> None:
        """It has taken that step, and the ledger was measured."""
        before, self._before = self._before, None
        read = self._read()
        if before is None or read is None:
            return
        told, held, peak, fresh = before
        states = (ledger.exp_avg, ledger.exp_avg_sq, ledger.optimizer_other)
        state = sum(part or 0 for part in states) if fresh else told.state
        if told.needs is not None:
            got, bound = rise(held_by(held), peak.held, peaks(read).held)
            self._process.emit(
                ForecastMet(
                    phase=told.phase,
                    step=told.step,
                    needs=told.needs,
                    got=got,
                    at_most=bound,
                    by="peak of %s" % measure(read),
                    state=told.state,
                    state_got=state if fresh else None,
                )
            )
        if state is not None:
            self._tell_backward(told, read, peak, state)

    def tick(self, now: float) -> None:
        """Compare a backward with its forecast, once its step has ended."""
        coming, timeline = self._coming, self._process.timeline
        if coming is None or timeline is None or timeline.step < (coming[0].step or 0):
            return
        self._coming = None
        self._compare(*coming)

    @guarded("forecast")
    def _compare(self, told: Forecast, line: Line, held: int, peak: int) -> None:
        sampler, timeline = self._process.memory, self._process.timeline
        if sampler is None or timeline is None:
            return
        read = sampler.look()
        got, bound = rise(held, peak, peaks(read).by(line))
        of = "addresses" if line.name == limits.ADDRESS_SPACE else measure(read)
        self._process.emit(
            ForecastMet(
                phase=told.phase,
                step=told.step,
                needs=told.needs,
                got=got,
                at_most=bound,
                by="peak of %s up to step %d" % (of, timeline.step),
            )
        )

    def _tell(
        self,
        asked: str,
        step: int,
        optimizer: Any,
        read: Reading,
        expected: Optional[Jump],
        gradients: int,
    ) -> Forecast:
        """Tell what the optimizer's call will need."""
        name = type(optimizer).__name__
        line = limits.nearest(limits.lines(read))
        left = None if line is None else line.left
        needs: Optional[int] = None
        method = "cannot tell: no closed form of %s" % name
        how, fits = "", None
        other: Tuple[str, Optional[int]] = ("", None)
        if expected is not None:
            needs, how = gradients + expected.needs, expected.implementation
            method = expected.method
            if gradients:
                method = "gradients and " + method
            fits = None if left is None else needs <= left
            if fits is False and left is not None:
                other = alternative(optimizer, expected, gradients, left, read.device)
        told = Forecast(
            phase="optimizer",
            step=step,
            needs=needs,
            headroom=left,
            limit=None if line is None else line.bytes,
            limit_by="" if line is None else line.name,
            fits=fits,
            bound=expected is not None and expected.bound,
            method=method,
            held=None if line is None else line.held,
            device=read.device,
            asked=asked,
            gradients=gradients,
            state=None if expected is None else expected.state,
            temporary=None if expected is None else expected.temporary,
            optimizer=name,
            implementation=how,
            alternative=other[0],
            alternative_needs=other[1],
        )
        self._process.emit(told)
        return told

    def _tell_backward(
        self, stepped: Forecast, read: Reading, before: Peaks, state: int
    ) -> None:
        """
        The next backward: what this step's held at most, with the state beside it.

        A peak from before training, such as a load's, says only that it is not more.
        """
        found = [line for line in limits.lines(read) if before.by(line) is not None]
        line = limits.nearest(found)
        if line is None or line.left is None or line.held is None:
            return
        peak, began = before.by(line), self._began.by(line)
        if began is None and line.name != limits.ADDRESS_SPACE:
            sampler = self._process.memory
            began = None if sampler is None else sampler.quiet_peak
        assert peak is not None
        held = read.mapped if line.name == limits.ADDRESS_SPACE else held_by(read)
        if held is None:
            return
        rose = began is not None and peak > began
        needs = max(0, peak + state - held)
        fits: Optional[bool] = needs <= line.left
        if not fits and not rose:
            fits = None
        method = "the peak of step %s and the state" % stepped.step
        if not rose:
            method = "the peak, which was before training, and the state"
        told = Forecast(
            phase="backward",
            step=(stepped.step or 0) + 1,
            needs=needs,
            headroom=line.left,
            limit=line.bytes,
            limit_by=line.name,
            fits=fits,
            bound=not rose,
            method=method,
            held=line.held,
            device=read.device,
            asked="step end",
            state=state,
            optimizer=stepped.optimizer,
            implementation=stepped.implementation,
        )
        self._process.emit(told)
        most = peaks(read).by(line)
        if most is not None:
            self._coming = told, line, held, most

    def _read(self) -> Optional[Reading]:
        sampler = self._process.memory
        return None if sampler is None else sampler.look_closely()

    def _next_step(self) -> int:
        timeline = self._process.timeline
        return 1 + max(0, timeline.step if timeline is not None else 0)


def held_by(read: Reading) -> Optional[int]:
    """What is held, as the peak counts it: on the device, or in RAM."""
    return read.allocated if read.allocated is not None else read.rss


def measure(read: Reading) -> str:
    return "the allocator" if read.allocated is not None else "RAM"


def peaks(read: Optional[Reading]) -> Peaks:
    if read is None:
        return Peaks()
    on_host = read.allocated is None and read.address_limit is not None
    return Peaks(read.peak, limits.mapped("VmPeak") if on_host else None)


def rise(
    held: Optional[int], before: Optional[int], after: Optional[int]
) -> Tuple[Optional[int], bool]:
    """
    How much more than `held` was held, by the peaks before and after; True where the
    peak did not rise, so that it was at most that.
    """
    if held is None or before is None or after is None:
        return None, False
    return max(0, after - held), after <= before


def alternative(
    optimizer: Any, expected: Jump, gradients: int, left: int, device: str
) -> Tuple[str, Optional[int]]:
    """
    The smallest change of the optimizer by which the same step would fit in `left`,
    and what it would need; "" where none of these would.
    """
    every = gradients > 0
    found: List[Tuple[str, Jump]] = []
    if FUSED not in expected.implementation and may_fuse(optimizer):
        fused = jump(optimizer, every, FUSED)
        if fused is not None:
            found.append(("fused=True", fused))
    if FOREACH in expected.implementation:
        looped = jump(optimizer, every, FOR_LOOP)
        if looped is not None:
            found.append(("foreach=False", looped))
    if device.startswith("cuda"):
        found.append(("AdamW8bit", in_place_of(optimizer, "AdamW8bit", every)))
    found.append(("Adafactor", in_place_of(optimizer, "Adafactor", every)))
    for text, other in found:
        if gradients + other.needs <= left:
            return text, gradients + other.needs
    return "", None
