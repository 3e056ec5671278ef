"""Whom to call, when, and how often."""

from __future__ import annotations

from dataclasses import replace

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold
from trainwatch.runner.notice import (
    HOLD_S,
    MOST,
    REARM_S,
    Notices,
    document,
    said,
)
from trainwatch.runner.state import EMPTY, Notice
from trainwatch.runner.verdict import Verdict, judge

T0 = 1_780_000_000.0
STUCK = Verdict("stuck", "deadlock", facts=("no progress for 6 min", "CPU 0"))
WORKING = Verdict("working")


class Run:
    """A log that grows, and those who watch it."""

    def __init__(self) -> None:
        self.now = T0
        self.state = EMPTY
        self.notices = Notices()
        self.say(ev.RunStarted("id", "sft", ["python"], "/tmp"))
        self.say(ev.ChildSpawned(1))

    def say(self, body: ev.Body) -> None:
        self.state = fold(self.state, ev.of(body, time=self.now, pid=1))

    def wait(self, seconds: int, verdict: Verdict | None = None) -> list[Notice]:
        """Look once a second; what was told, which is then in the log."""
        told = []
        for _ in range(seconds):
            self.now += 1
            shown = verdict or judge(self.state, self.now)
            notice = self.notices.due(self.state, shown, self.now)
            if notice is not None:
                told.append(notice)
                self.say(said(notice))
        return told

    def restart(self) -> None:
        """The supervisor died: the next one knows only the log."""
        self.notices = Notices()


def kinds(notices: list[Notice]) -> list[str]:
    return [notice.kind for notice in notices]


def test_a_trouble_is_told_once_however_long_it_lasts() -> None:
    run = Run()
    (notice,) = run.wait(7200, STUCK)
    assert (notice.kind, notice.title) == ("stuck", "sft: stuck")
    assert notice.text == "no progress for 6 min · CPU 0"
    assert notice.given - T0 >= HOLD_S


def test_a_moment_of_trouble_is_not_told() -> None:
    run = Run()
    for _ in range(20):
        assert run.wait(int(HOLD_S) - 1, STUCK) == []
        assert run.wait(2, WORKING) == []


def test_a_trouble_that_flickers_is_one_and_one_that_comes_back_another() -> None:
    run = Run()
    told = []
    for _ in range(10):
        told += run.wait(20, STUCK)
        told += run.wait(int(REARM_S) - 10, WORKING)
    assert kinds(told) == ["stuck"]
    run.wait(int(REARM_S) + 1, WORKING)
    assert kinds(run.wait(60, STUCK)) == ["stuck"]
    assert len({notice.key for notice in run.state.notices}) == 2


def test_two_troubles_in_turn_are_told_once_each() -> None:
    run = Run()
    told = []
    for _ in range(5):
        told += run.wait(20, STUCK)
        told += run.wait(20, Verdict("failing", "numeric", facts=("loss is nan", "")))
    assert kinds(told) == ["stuck", "failing"]


def test_the_next_supervisor_tells_nothing_twice() -> None:
    run = Run()
    run.say(ev.WarningTriaged(key="k", severity="serious", text="broken"))
    told = run.wait(30, STUCK)
    run.restart()
    told += run.wait(300, STUCK)
    run.say(ev.RunEnded("failed", 1))
    told += run.wait(5)
    run.restart()
    told += run.wait(5)
    assert kinds(told) == ["stuck", "death"]


def test_waiting_is_told_only_for_the_keyboard_and_while_nobody_has_it() -> None:
    other = Verdict("waiting", "io", facts=("for a lock", ""))
    keyboard = Verdict("waiting", "shell", facts=("for your keyboard: y/n?", ""))
    run = Run()
    assert run.wait(60, other) == []
    run.say(ev.CommandAsked("1", "keyboard"))
    assert run.wait(60, keyboard) == []
    run.say(ev.CommandFinished("1", "keyboard", "done"))
    (notice,) = run.wait(60, keyboard)
    assert notice.text == "for your keyboard: y/n?"


def test_what_is_serious_is_told_together_and_not_without_end() -> None:
    run = Run()
    for number in range(3):
        run.say(ev.WarningTriaged(key=f"k{number}", severity="serious", text="broken"))
    run.say(ev.WarningTriaged(key="calm", severity="attention", text="slow"))
    (notice,) = run.wait(60)
    assert (notice.kind, notice.text) == ("serious", "broken (and 2 more)")
    told = []
    for number in range(3 * MOST):
        run.say(ev.FindingRaised(f"rule{number}", "serious", summary="x"))
        told += run.wait(int(HOLD_S) + 2)
    assert len(told) == MOST - 3


def test_a_finding_that_is_over_in_time_is_not_told() -> None:
    run = Run()
    run.say(ev.FindingRaised("r", "serious", summary="x"))
    run.wait(2)
    run.say(ev.FindingCleared("r"))
    assert run.wait(60) == []


def test_what_is_serious_and_comes_with_the_end_is_told_by_the_end() -> None:
    run = Run()
    run.say(ev.WarningTriaged(key="k", severity="serious", text="ValueError: x"))
    run.wait(2)
    run.say(ev.RunEnded("failed", 1))
    (notice,) = run.wait(60)
    assert (notice.key, notice.kind, notice.title) == ("end", "death", "sft: failed")


def test_the_kinds_of_an_end() -> None:
    for status, kind in (
        ("finished", "end"),
        ("aborted", "end"),
        ("failed", "death"),
        ("killed", "death"),
        ("lost", "death"),
    ):
        run = Run()
        run.say(ev.RunEnded(status, 0))
        assert kinds(run.wait(3)) == [kind], status


def test_a_word_on_the_command_does_not_count_as_another_notice() -> None:
    run = Run()
    (notice,) = run.wait(30, STUCK)
    run.say(said(replace(notice, error="ended with exit code 1")))
    (kept,) = run.state.notices
    assert kept.error == "ended with exit code 1"


def test_hostile_text_is_plain_and_short() -> None:
    run = Run()
    text = "\x1b]0;evil\x07\x1b[2J\x9b5;boom\r\n" + "x" * 10_000
    run.say(ev.WarningTriaged(key="k", severity="serious", text=text))
    (notice,) = run.wait(10)
    assert notice.text.isprintable()
    assert len(notice.text) <= 400
    shown = document(run.state, WORKING, notice, "/home")
    assert shown["kind"] == "serious"
    assert shown["run"]["name"] == "sft"
    assert shown["time"].startswith("2026-05-2")
