"""The card of a resumed run."""

from __future__ import annotations

from dataclasses import replace

from trainwatch.probes import events as ev
from trainwatch.runner import resume
from trainwatch.runner.fold import fold
from trainwatch.runner.lines import describe
from trainwatch.runner.state import EMPTY, Process, RunState

FOUND = ev.TrainingResumed(
    "/out/checkpoint-8",
    8,
    optimizer=True,
    scheduler=True,
    random=True,
    rate_before=9.2e-4,
    rate_step=8,
    rate_after=9.1e-4,
    skips=True,
)


def resumed(body: ev.TrainingResumed, *more: ev.Body) -> tuple[RunState, Process]:
    state = EMPTY
    bodies = (ev.TrainingBegan("SFTTrainer", step=8, max_steps=40), body, *more)
    for number, each in enumerate(bodies):
        state = fold(state, ev.of(each, time=10.0 + number, pid=7))
    return state, state.processes[7]


def test_all_that_was_found_and_what_is_skipped() -> None:
    _, process = resumed(FOUND, ev.PhaseEnded("skip", 2.0, rows=16))
    assert resume.line(process, 20.0) == (
        "resumed at step 8 from checkpoint-8; found: optimizer, scheduler, random "
        "state; learning rate 0.00092 (step 8) → 0.00091; skipped 16 batches in 2.0 s"
    )


def test_weights_alone_begin_anew_and_it_is_said() -> None:
    lacking = replace(
        FOUND, optimizer=False, scheduler=False, random=False, rate_after=1e-3
    )
    _, process = resumed(lacking)
    card = resume.card(process, 20.0)
    assert card is not None
    assert card.missing == ("optimizer", "scheduler", "random state")
    assert card.parts[0] == "not found: optimizer, scheduler, random state"
    assert "learning rate 0.00092 (step 8) → 0.001" in card.parts


def test_how_long_a_skip_takes_is_told_while_it_runs() -> None:
    observed = [
        ev.PhaseObserved(7, "skip", 12.0, 8, rows=rows, total=400)
        for rows in (100, 200)
    ]
    _, process = resumed(FOUND, *observed)
    text = resume.line(process, 14.0)
    assert "skipping 200 of 400 batches, 1.0 s left" in text


def test_what_is_not_known_is_not_claimed() -> None:
    _, process = resumed(ev.TrainingResumed("", 8, skips=False))
    text = resume.line(process, 20.0)
    assert "cannot tell what it found" in text
    assert "learning rate" not in text
    assert "sees some again" in text
    unlogged = replace(FOUND, rate_before=None, rate_step=None)
    assert "before it not logged" in resume.line(resumed(unlogged)[1], 20.0)


def test_a_good_card_goes_and_one_that_lacks_something_stays() -> None:
    _, process = resumed(FOUND)
    assert resume.shown(process)
    assert not resume.shown(replace(process, step=8 + resume.SHOWN_STEPS))
    _, lacking = resumed(replace(FOUND, scheduler=False))
    assert resume.shown(replace(lacking, step=9_999))
    assert not resume.shown(Process())


def test_a_training_from_the_beginning_has_no_card() -> None:
    state, _ = resumed(FOUND)
    again = ev.of(ev.TrainingBegan("SFTTrainer", max_steps=40), time=99.0, pid=7)
    process = fold(state, again).processes[7]
    assert resume.card(process, 100.0) is None
    assert resume.line(process, 100.0) == ""


def test_told_again_to_a_new_supervisor_it_stays() -> None:
    state, process = resumed(FOUND)
    again = ev.of(
        ev.TrainingBegan("SFTTrainer", step=8, max_steps=40), time=10.0, pid=7
    )
    assert fold(state, again).processes[7].training == process.training


def test_the_plain_line() -> None:
    state, _ = resumed(FOUND)
    line = describe(ev.of(FOUND, time=11.0, pid=7), state)
    assert line is not None
    assert "resumed at step 8 from checkpoint-8; found: optimizer" in line
