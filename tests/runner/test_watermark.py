"""What the watermark ratios of MPS do, and what is said of them."""

from __future__ import annotations

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.headroom import changes
from trainwatch.runner.state import RunState
from trainwatch.runner.watermark import (
    HIGH,
    LOW,
    RULE,
    Watermarks,
    finding,
    notes,
    watermarks,
)


@pytest.mark.parametrize(
    ("environ", "high", "low", "problem"),
    [
        ({}, 1.7, 1.4, ""),
        ({HIGH: "0.0"}, 0.0, 1.4, ""),
        ({HIGH: "1.4"}, 1.4, 1.4, ""),
        ({HIGH: "0.7"}, 0.7, 1.4, "0.7 is below the low ratio (1.4, not set)"),
        ({HIGH: "0.7", LOW: "0.6"}, 0.7, 0.6, ""),
        ({HIGH: "0.7", LOW: "0.8"}, 0.7, 0.8, "0.8 is above the high ratio 0.7"),
        ({HIGH: "2.5"}, 2.5, 1.4, "not between 0 and 2"),
        ({HIGH: "-1"}, -1.0, 1.4, "not between 0 and 2"),
        ({HIGH: "0", LOW: "2.5"}, 0.0, 2.5, "above the high ratio 2"),
        ({HIGH: "lots"}, 0.0, 1.4, ""),
        ({LOW: "0"}, 1.7, 0.0, ""),
    ],
)
def test_ratios_by_torchs_own_checks(
    environ: dict[str, str], high: float, low: float, problem: str
) -> None:
    told = watermarks(environ)
    assert (told.high, told.low) == (high, low)
    assert (problem in told.problem) if problem else not told.problem
    if problem:
        assert told.problem.endswith("MPS does not start")


def test_lines_in_bytes() -> None:
    assert Watermarks().limit(1000) == 1700
    assert Watermarks().relief(1000) == 1400
    assert Watermarks(high=0).limit(1000) is None
    assert Watermarks(low=0).relief(1000) is None


def test_nothing_is_said_where_nothing_is_set() -> None:
    assert notes({"PATH": "/bin"}) == ()


@pytest.mark.parametrize(
    ("environ", "severity", "words"),
    [
        ({HIGH: "0.0"}, "attention", "takes torch's limit away"),
        ({HIGH: "1.0"}, "serious", "does not start"),
        ({HIGH: "1.5"}, "harmless", "refuses above 1.5 times"),
        ({LOW: "0.5"}, "harmless", f"{LOW}=0.5 (default 1.4)"),
    ],
)
def test_what_is_said(environ: dict[str, str], severity: str, words: str) -> None:
    (note,) = notes(environ)
    assert note.severity == severity
    assert words in note.summary
    if severity != "serious":
        assert "guardrail, not a shrink ray" in note.summary
        assert "import torch" in note.do


def on_mps(environ: dict[str, str], late: bool = False) -> RunState:
    bodies: list[ev.Body] = [
        ev.ProcessJoined(role="rank"),
        ev.MemorySampled("mps:0", ratios_set=environ, ratios_late=late),
    ]
    return fold_all(ev.of(body, time=1000.0, pid=7, rank=0) for body in bodies)


def test_a_run_without_a_limit_has_a_finding() -> None:
    state = on_mps({HIGH: "0.0"})
    (found,) = changes(state)
    assert isinstance(found, ev.FindingRaised)
    assert (found.rule, found.severity) == (RULE, "attention")
    assert found.evidence == [f"{HIGH}=0.0"]
    assert "swaps" in found.summary
    after = fold_all([ev.of(found, time=1001.0, pid=1)], state)
    assert list(changes(after)) == []


def test_a_ratio_set_too_late_is_said() -> None:
    found = finding(on_mps({}, late=True))
    assert found is not None
    assert "after `import torch`" in found.summary
    assert found.evidence == ["not set when torch was imported"]


@pytest.mark.parametrize("environ", [{}, {HIGH: "1.5"}])
def test_a_run_whose_ratios_do_what_they_say(environ: dict[str, str]) -> None:
    assert finding(on_mps(environ)) is None
