"""A loop of errors is failing; a healthy loop that logs what it caught is not."""

from __future__ import annotations

from typing import Any

from support.signals import Run
from trainwatch.probes import events as ev

ERROR = "RuntimeError: mat1 and mat2 shapes cannot be multiplied"


def said(count: int, **facts: Any) -> ev.WarningTriaged:
    known: dict[str, Any] = {
        "key": "families.exception:shapes",
        "rule": "families.exception",
        "severity": "serious",
        "text": ERROR,
        "origin": "train.py:9",
    }
    return ev.WarningTriaged(count=count, **{**known, **facts})


def failing(run: Run, until: int, every: int = 5, **facts: Any) -> Run:
    """The same error every few seconds; the process moves from phase to phase."""
    for number, when in enumerate(range(every, until + 1, every), 1):
        phase = ("fetch", "forward")[number % 2]
        run.say(when, ev.PhaseObserved(100, phase, 1_000.0 + when, step=12))
        run.say(when, said(number, **facts))
    return run


def test_the_same_error_without_a_step_is_failing() -> None:
    verdict = failing(Run(), 60).at(61)
    assert (verdict.state, verdict.kind) == ("failing", None)
    assert verdict.evidence_status == "likely"
    assert verdict.facts[0] == "the same error 12 times since 56 s, no step ended"
    assert verdict.facts[1] == f"{ERROR} (train.py:9)"


def test_its_kind_is_that_of_the_warning() -> None:
    run = failing(Run(), 60, kind="incompatibility", do="look at the shapes")
    assert (run.at(61).kind, run.at(61).do) == ("incompatibility", "look at the shapes")


def test_it_is_not_said_before_a_step_could_have_ended() -> None:
    run = failing(Run(), 60)
    assert run.at(31).state == "working"
    assert run.at(36).state == "failing"


def test_four_errors_are_no_loop() -> None:
    assert failing(Run(), 40, every=10).at(46).state == "working"


def test_errors_while_steps_end_are_not_failing() -> None:
    run = Run()
    for number in range(1, 61):
        run.step(12 + number, 2 * number, 2.0)
        run.say(2 * number + 0.5, said(3 * number))
    assert run.at(119).state == "working"
    assert run.at(120.6).state == "working"


def test_errors_within_slow_steps_are_not_failing() -> None:
    run = Run()
    for number in range(1, 11):
        run.step(12 + number, 40 * number, 40.0)
    for number in range(1, 17):
        when = 400 + 5 * number
        run.say(when, ev.PhaseObserved(100, "forward", 1_000.0 + when, step=22))
        run.say(when, said(number))
    assert run.at(481).state == "slow"


def test_a_step_that_ends_is_the_end_of_it() -> None:
    run = failing(Run(), 60)
    run.step(13, 62, 2.0)
    assert run.at(63).state == "working"


def test_errors_that_come_no_more_are_over() -> None:
    run = failing(Run(), 60)
    run.say(62, ev.PhaseObserved(100, "forward", 1_062.0, step=12))
    assert run.at(70).state == "failing"
    assert run.at(80).state != "failing"


def test_a_warning_that_repeats_is_no_error() -> None:
    facts = {"text": "UserWarning: slow", "rule": "", "severity": "unclassified"}
    assert failing(Run(), 60, **facts).at(61).state == "working"


def test_errors_that_were_logged_count() -> None:
    facts = {"text": "step failed", "rule": "families.logged-error"}
    run = failing(Run(), 60, severity="attention", **facts)
    assert run.at(61).state == "failing"


def test_rows_that_fail_in_a_map_or_an_evaluation_are_not_failing() -> None:
    for phase in ("data", "evaluate", "download"):
        run = failing(Run(), 60)
        run.say(60.5, ev.PhaseObserved(100, phase, 1_060.5, step=12, rows=9))
        assert run.at(61).state == "working"


def test_errors_after_the_training_are_not_told() -> None:
    run = failing(Run(), 60).say(60, ev.TrainingEnded(12))
    assert run.at(61).state == "working"


def generate(run: Run, number: int, failed: bool) -> None:
    when = 5 * number
    run.say(when - 1, ev.GenerationBegan(id=number))
    run.say(when, ev.GenerationEnded(id=number, seconds=1.0, failed=failed))


def test_calls_of_generate_that_all_fail_are_failing() -> None:
    run = Run()
    for number in range(1, 11):
        generate(run, number, failed=True)
    verdict = run.at(51)
    assert verdict.state == "failing"
    assert verdict.facts[0].startswith("generate failed 10 times in a row")


def test_a_call_of_generate_that_ends_well_is_progress() -> None:
    run = failing(Run(), 60)
    for number in range(1, 13):
        generate(run, number, failed=number != 12)
    run.events.sort(key=lambda event: event.time)
    assert run.at(61).state == "working"
