"""Which parts of a step have a place in the phase panel."""

from __future__ import annotations

import pytest

from trainwatch.runner.phases import PARTS
from trainwatch.runner.state import PhaseStat, Process, StepStat
from trainwatch.tui.panels.parts import (
    MOST_BETWEEN,
    MOST_PARTS,
    PROMISED_BETWEEN,
    PROMISED_PARTS,
    between_names,
    step_parts,
)


def test_a_plain_step_promises_its_parts() -> None:
    parts = step_parts({"forward": 1.0, "other": 0.1})
    assert tuple(parts) == PROMISED_PARTS
    assert parts["loss"] is None
    assert "reference" not in parts


def test_a_reference_has_a_place() -> None:
    parts = step_parts({"forward": 1.0, "reference": 0.5, "other": 0.1})
    assert tuple(parts) == PARTS
    assert len(parts) == MOST_PARTS
    assert parts["reference"] == 0.5


def test_a_users_own_come_before_other() -> None:
    shares = {"forward": 1.0, "reward": 0.2, "rollout": 3.0, "other": 0.1}
    assert list(step_parts(shares)) == ["forward", "rollout", "reward", "other"]


def test_what_is_too_much_is_gathered() -> None:
    shares = {name: 1.0 for name in PARTS}
    shares |= {"clip": 0.01, "rollout": 9.0, "a": 0.02, "b": 0.03}
    parts = step_parts(shares)
    assert len(parts) == MOST_PARTS
    assert list(parts)[-2:] == ["4 more", "other"]
    assert parts["rollout"] == 9.0
    shown = sum(seconds or 0.0 for seconds in parts.values())
    assert shown == pytest.approx(sum(shares.values()))


def test_between_the_steps() -> None:
    phases = {name: PhaseStat(1, 1.0, 1.0) for name in ("load", "forward", "step")}
    lead = Process(phases=phases)
    assert tuple(between_names(lead)) == PROMISED_BETWEEN
    own = {"compile": PhaseStat(1, 9.0), "report": PhaseStat(1, 2.0)}
    rollout = {"rollout": PhaseStat(1, 5.0)}
    steps = StepStat(last_phases={"rollout": (1, 5.0)})
    lead = Process(phases={**phases, **own, **rollout}, steps=steps)
    assert between_names(lead) == [
        "import",
        "load",
        "data",
        "save",
        "compile",
        "report",
    ]
    many = {f"own {n}": PhaseStat(1, float(n)) for n in range(20)}
    names = between_names(Process(phases={**phases, **many}))
    assert len(names) == MOST_BETWEEN
    assert "own 19" in names
    assert "load" not in names
