"""Forecasts in the fold, in the findings, in plain lines and in the JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support import memory_scenes as scenes
from support.scenes import Log, loaded, started, step
from trainwatch.probes import events as ev
from trainwatch.runner import forecast, headroom, memo
from trainwatch.runner.document import process_document
from trainwatch.runner.fold import fold_all
from trainwatch.runner.lines import describe
from trainwatch.runner.state import Forecast, RunState

MB, GB = 10**6, 10**9


def told(*bodies: ev.Body) -> tuple[Log, RunState]:
    log = loaded(started())
    for body in bodies:
        log.say(body)
    return log, fold_all(log.events)


def made(**more: object) -> Forecast:
    return Forecast(**{**vars(scenes.forecast()), **more})


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({}, "no"),
        ({"needs": 5 * GB, "fits": True}, "yes"),
        ({"needs": 6_500 * MB, "fits": True}, "tight"),
        ({"needs": 20 * MB, "headroom": 25 * MB, "fits": True}, "yes"),
        ({"fits": None}, "cannot tell"),
        ({"needs": None, "fits": None}, "cannot tell"),
    ],
)
def test_how_a_forecast_fits(more: dict[str, object], word: str) -> None:
    assert forecast.fits(made(**more)) == word


def test_a_forecast_that_does_not_fit_is_a_finding_at_once() -> None:
    _, state = told(scenes.forecast())
    (finding,) = headroom.changes(state)
    assert isinstance(finding, ev.FindingRaised)
    assert (finding.rule, finding.severity) == ("memory.forecast", "serious")
    assert finding.summary == (
        "optimizer.step of step 1 will need 8.39 GB, 6.8 GB left of 25.4 GB (card)"
    )
    assert finding.do == "fused=True would fit: it needs 5.59 GB"
    # It is told once.
    _, state = told(scenes.forecast(), finding, scenes.forecast())
    assert list(headroom.changes(state)) == []


def test_what_fits_raises_nothing() -> None:
    log, state = told(scenes.forecast(needs=2 * GB, fits=True))
    assert list(headroom.changes(state)) == []
    assert describe(log.events[-1], state) is None


def test_what_was_survived_is_over() -> None:
    _, state = told(scenes.forecast())
    (finding,) = headroom.changes(state)
    met = ev.ForecastMet("optimizer", 1, 8_387 * MB, 6 * GB, False, "peak")
    _, state = told(scenes.forecast(), finding, met)
    (cleared,) = headroom.changes(state)
    assert isinstance(cleared, ev.FindingCleared)
    assert cleared.reason.startswith("optimizer.step of step 1 ran: took 6 GB")


def test_the_plain_line_says_what_would_fit() -> None:
    log, state = told(scenes.forecast())
    line = describe(log.events[-1], state)
    assert line is not None
    assert line.endswith(
        "forecast, does not fit: optimizer.step of step 1 will need 8.39 GB, 6.8 GB "
        "left of 25.4 GB (card); fused=True would fit: it needs 5.59 GB"
    )


def test_an_optimizer_that_nobody_knows_cannot_be_told() -> None:
    unknown = ev.Forecast(
        phase="optimizer", step=1, method="cannot tell: no closed form of Lion"
    )
    log, state = told(unknown)
    line = describe(log.events[-1], state)
    assert line is not None
    assert line.endswith(
        "forecast: optimizer.step of step 1: cannot tell: no closed form of Lion"
    )
    assert list(headroom.changes(state)) == []


def test_the_error_of_a_forecast() -> None:
    exact = made(met=1.0, state=100, state_got=100)
    assert forecast.error(exact) == 0
    level = made(held=10 * GB, needs=2 * GB, met=1.0, got=1 * GB, state_got=None)
    assert forecast.error(level) == pytest.approx(100 / 11)
    bound = replace(level, at_most=True)
    assert forecast.error(bound) is None
    assert "at most 1 GB" in forecast.outcome(bound)
    assert forecast.error(replace(level, bound=True)) is None
    assert forecast.outcome(made()) == ""


def test_the_document_has_the_one_to_show_and_all() -> None:
    coming = scenes.forecast(phase="backward", step=2, fits=True, needs=GB)
    met = ev.ForecastMet(
        "optimizer", 1, 8_387 * MB, 8_400 * MB, state=5_591 * MB, state_got=5_591 * MB
    )
    log, state = told(
        scenes.told(scenes.card_sampler()), scenes.forecast(), met, coming
    )
    assert state.lead is not None
    document = process_document(state.lead, log.now, False)["memory"]
    assert document["limits"]["budget"] == 25_400_000_000
    assert document["limits"]["budget_by"] == "card"
    assert document["forecast"]["phase"] == "backward"
    assert {"phase", "needs", "headroom", "fits", "method"} <= set(document["forecast"])
    (before, _) = document["forecasts"]
    assert (before["error_percent"], before["got"]) == (0.0, 8_400 * MB)


def test_forecasts_and_levels_are_kept_in_the_cache() -> None:
    _, state = told(scenes.told(scenes.mac_sampler()), scenes.forecast())
    assert memo.revive(RunState, memo.plain(state)) == state


def test_a_limit_ahead_is_found_and_told_only_in_time() -> None:
    log = loaded(started())
    facts = scenes.told(scenes.card_sampler())
    for number in range(1, 41):
        step(log, number)
        log.say(replace(facts, allocated=10 * GB + number * 200 * MB))
    state = fold_all(log.events)
    (finding,) = headroom.changes(state)
    assert isinstance(finding, ev.FindingRaised)
    assert finding.rule == "memory.limit-ahead"
    assert finding.summary.startswith("memory rises by 200 MB a step: card (25.4 GB)")
    assert "step 77" in finding.summary
    # The same rise in a run that is over before: nothing.
    slow = loaded(started())
    for number in range(1, 41):
        step(slow, number)
        slow.say(replace(facts, allocated=10 * GB + number * 25 * MB))
    assert list(headroom.changes(fold_all(slow.events))) == []
