"""What the watermark ratios of MPS do, and what is said of them."""

from __future__ import annotations

import pytest

from trainwatch.runner.watermark import HIGH, LOW, Watermarks, notes, watermarks


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
