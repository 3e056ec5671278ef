"""Phases that a user named, from the log to the state."""

from __future__ import annotations

from support.scenes import PID, Log, loaded, started
from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner.flights import Seen, observe
from trainwatch.runner.fold import fold_all
from trainwatch.runner.lines import describe
from trainwatch.runner.phases import MAX_OWN, filed, in_step, is_own, shown
from trainwatch.runner.state import Process
from trainwatch.runner.verdict import judge


def process(log: Log) -> Process:
    lead = fold_all(log.events).lead
    assert lead is not None
    return lead


def test_the_name_takes_the_place_of_custom() -> None:
    assert shown("custom", "rollout") == ("rollout", "")
    assert shown("custom", "") == ("custom", "")
    assert shown("load", "model") == ("load", "model")
    assert is_own("rollout")
    assert is_own("custom")
    assert not is_own("reference")


def test_in_the_state_it_goes_by_its_name() -> None:
    log = loaded(started())
    log.say(ev.PhaseEnded("custom", 3.0, 1.0, None, "warm up"))
    log.say(ev.PhaseEnded("custom", 3.0, 1.0, None, "score", count=1000))
    log.wait(3.0).say(
        ev.StepEnded(1, seconds=3.0, phases={"rollout": [2, 2.0], "other": [1, 1.0]})
    )
    log.wait(2.0).say(
        ev.PhaseObserved(PID, "custom", log.now - 1.5, 1, detail="rollout")
    )
    lead = process(log)
    assert lead.phases["warm up"].total_s == 3.0
    assert lead.phases["score"].count == 1000
    assert lead.phases["score"].last_s == 0.003
    assert lead.steps.last_phases["rollout"] == (2, 2.0)
    assert lead.phases["rollout"].total_s == 2.0
    assert (lead.phase.name, lead.phase.detail) == ("rollout", "")
    assert "rollout for 1.5 s" in judge(fold_all(log.events), log.now).facts[0]


def test_a_phase_of_a_later_schema_is_kept() -> None:
    log = loaded(started())
    log.say(ev.PhaseEnded("dream", 3.0, 1.0))
    assert process(log).phases["dream"].total_s == 3.0


def test_names_are_bounded() -> None:
    log = loaded(started())
    for number in range(500):
        log.say(ev.PhaseEnded("custom", 1.0, 1.0, None, f"epoch {number}"))
    phases = {f"own {n}": [1, 1.0] for n in range(500)}
    log.say(ev.StepEnded(1, seconds=500.0, phases=phases))
    lead = process(log)
    assert len(lead.phases) <= len(ev.PHASES) + MAX_OWN + 2
    times, seconds = lead.steps.last_phases["custom"]
    assert (times, seconds) == (500, 500.0)
    assert filed("forward", lead.phases) == "forward"


def test_lines_say_the_name() -> None:
    log = loaded(started())
    body = ev.PhaseEnded("custom", 4.0, 1.0, None, "score", count=2000)
    log.say(body)
    line = describe(log.events[-1], fold_all(log.events))
    assert line is not None
    assert line.endswith("score  4.0 s, 2,000 times")
    log.wait(20.0).say(
        ev.PhaseObserved(PID, "custom", log.now - 10.5, detail="rollout \x1b[2J")
    )
    line = describe(log.events[-1], fold_all(log.events))
    assert line is not None
    assert line.endswith("rollout  for 10 s")


def reading(phase: str, since: float, step: int | None) -> flight.Reading:
    nothing = dict.fromkeys(
        ("micro_step", "tokens", "bytes", "rows", "total", "beat", "memory_at")
    )
    memory = dict.fromkeys(("allocated", "reserved", "peak", "rss"))
    return flight.Reading(
        pid=1,
        phase=phase,
        since=since,
        step=step,
        detail="rollout",
        error="",
        wall_minus_mono=0.0,
        **nothing,
        **memory,
    )


def test_short_ones_in_steps_are_not_told_one_by_one() -> None:
    seen, told = observe(Seen(), reading("custom", 1.0, 3), 2.0)
    assert told is not None
    assert (told.phase, told.detail) == ("custom", "rollout")
    bodies = []
    for number in range(20):
        now = 3.0 + number / 10
        seen, told = observe(seen, reading("custom", now - 0.05, 3), now)
        bodies.append(told)
    assert [body.phase for body in bodies if body is not None] == ["step"]
    assert in_step("reference", None)
    assert not in_step("custom", None)
