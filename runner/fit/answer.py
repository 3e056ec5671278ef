"""
Whether a plan fits on each of some devices, and what would make it fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.changes import Change, search
from trainwatch.runner.fit.device import DOES_NOT_FIT, FITS, TIGHT, Device, Verdict
from trainwatch.runner.fit.plan import Plan, to_json
from trainwatch.runner.fit.replay import Replay
from trainwatch.runner.fit.reserved import reserved
from trainwatch.runner.fit.simulator import Simulation, Simulator

SCHEMA = 1


@dataclass(frozen=True)
class Remedy:
    """
    A change with the peak that it leads to, and the verdict on the device.
    """

    change: Change
    peak: int
    verdict: Verdict


@dataclass(frozen=True)
class Place:
    """
    One device: what was simulated as it would run there. `held` is what its allocator
    would hold, by a model of it; None on a CPU and where nothing was simulated.
    """

    device: Device
    simulation: Simulation
    verdict: Verdict
    held: Replay | None
    remedies: tuple[Remedy, ...] = field(default=())
    hopeless: str = ""
    """Why no change was looked for, where none was and one would be needed."""


class Fit:
    """
    The answers for one plan, each simulated once: devices that take the same way of
    attention and the same optimizer share it.
    """

    def __init__(self, plan: Plan, simulator: Simulator) -> None:
        self._plan = plan
        self._simulator = simulator
        self._known: dict[Plan, Simulation] = {}
        self._refused: dict[Plan, str] = {}

    def place(self, device: Device) -> Place:
        """
        Raises:
            RefusedError: the plan cannot be told about at all.
        """
        simulation = self._simulate(self._plan_on(device), with_trace=True)
        trace = simulation.trace
        held = reserved(trace, device) if trace is not None else None
        return Place(device, simulation, judge(device, simulation, held), held)

    def with_remedies(self, place: Place) -> Place:
        """
        The same with what would make it fit, unless it fits.
        """
        if place.verdict.word == FITS:
            return place
        simulation, device = place.simulation, place.device
        weights = sum(
            size
            for name, size in simulation.peak.bill.items()
            if name.startswith("weights")
        )
        if device.verdict(weights).word == DOES_NOT_FIT or weights > device.usable:
            why = "the weights alone do not fit: fewer bits or a smaller model"
            return replace(place, hopeless=why)
        if simulation.method != "simulation":
            return replace(place, hopeless="changes are only looked for by simulation")
        remedies = [
            Remedy(change, peak, device.verdict(peak))
            for change, peak in search(
                self._plan_on(device),
                simulation.peak.bytes,
                self._peak_of,
                lambda peak: device.verdict(peak).word == FITS,
            )
        ]
        return replace(place, remedies=tuple(remedies))

    def _plan_on(self, device: Device) -> Plan:
        return self._plan.on(device.kind, device.attention)

    def _peak_of(self, plan: Plan) -> int | None:
        try:
            found = self._simulate(plan)
        except RefusedError:
            return None
        return found.peak.bytes if found.method == "simulation" else None

    def _simulate(self, plan: Plan, with_trace: bool = False) -> Simulation:
        if plan in self._refused:
            raise RefusedError(self._refused[plan])
        if plan not in self._known:
            try:
                self._known[plan] = self._simulator.simulate(plan, with_trace)
            except RefusedError as error:
                self._refused[plan] = str(error)
                raise
        return self._known[plan]


def judge(device: Device, simulation: Simulation, held: Replay | None) -> Verdict:
    """
    The device's verdict on the tensors; one that fits is tight where the model of the
    allocator found no room.
    """
    verdict = device.verdict(simulation.peak.bytes)
    if verdict.word == FITS and held is not None and held.full_in is not None:
        why = f"the tensors fit, the allocator's blocks do not, in {held.full_in}"
        return replace(verdict, word=TIGHT, why=why)
    return verdict


def document(plan: Plan, places: list[Place]) -> dict[str, Any]:
    """
    What `trainwatch fit --json` prints. Bytes are integers.
    """
    simulations = list(dict.fromkeys(id(place.simulation) for place in places))
    by_id = {id(place.simulation): place.simulation for place in places}
    asked = to_json(plan)
    asked.pop("config")
    return {
        "schema": SCHEMA,
        "plan": asked,
        "simulations": [_simulation(by_id[key]) for key in simulations],
        "devices": [
            _place(place, simulations.index(id(place.simulation))) for place in places
        ],
    }


def _simulation(simulation: Simulation) -> dict[str, Any]:
    peak = simulation.peak
    return {
        "method": simulation.method,
        "reason": simulation.reason,
        "attention": simulation.plan.attention,
        "optimizer": simulation.plan.optimizer,
        "parameters": simulation.parameters,
        "trainable": simulation.trainable,
        "targets": list(simulation.targets),
        "percent": round(100 * simulation.trainable / simulation.parameters, 3),
        "peak": peak.bytes,
        "step": peak.step,
        "phase": peak.phase,
        "bill": dict(peak.bill),
        "phases": [
            {"step": p.step, "phase": p.phase, "peak": p.bytes, "bill": dict(p.bill)}
            for p in simulation.peaks
        ],
        "seconds": simulation.seconds,
        "rss": simulation.rss,
        "versions": dict(simulation.versions),
    }


def _place(place: Place, simulation: int) -> dict[str, Any]:
    device, held = place.device, place.held
    return {
        "device": device.name,
        "kind": device.kind,
        "simulation": simulation,
        "verdict": place.verdict.word,
        "why": place.verdict.why,
        "room": place.verdict.room,
        "usable": device.usable,
        "torch_limit": device.torch_limit,
        "physical": device.physical,
        "margin": device.margin,
        "lines": [
            {"name": line.name, "bytes": line.bytes, "source": line.source}
            for line in device.lines
        ],
        "problem": device.problem or None,
        "allocator": None
        if held is None
        else {
            "reserved_peak": held.reserved_peak,
            "in": held.reserved_in,
            "fragmentation": round(held.fragmentation, 4),
            "flushes": held.flushes,
            "full_in": held.full_in,
            "method": held.method,
        },
        "changes": [
            {
                "change": list(remedy.change.words),
                "peak": remedy.peak,
                "verdict": remedy.verdict.word,
            }
            for remedy in place.remedies
        ],
        "no_changes": place.hopeless or None,
    }
