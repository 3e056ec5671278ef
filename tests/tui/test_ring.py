"""The bell of a watching terminal, and a screen that only looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support import scenes
from support.pilots import MakeApp, screen_text, settled
from support.scenes import FakeHands
from trainwatch.runner.state import Notice
from trainwatch.runner.verdict import judge
from trainwatch.runner.view import RunView
from trainwatch.tui.messages import RunUpdated
from trainwatch.tui.ring import Ring, osc9
from trainwatch.tui.screens.run import RunScreen
from trainwatch.tui.widgets.keyline import KeyLine

STUCK = Notice("stuck 1", "stuck", "sft: stuck", "no progress for 6 min")


def with_notices(view: RunView, *notices: Notice) -> RunView:
    return replace(view, state=replace(view.state, notices=notices))


def test_only_what_comes_while_one_watches_rings_and_only_once() -> None:
    ring = Ring()
    view = scenes.live()
    other = replace(STUCK, key="stuck 2")
    assert ring.fresh(with_notices(view, STUCK)) == []
    assert ring.fresh(with_notices(view, STUCK)) == []
    assert ring.fresh(with_notices(view, STUCK, other)) == [other]
    failed = replace(other, error="ended with exit code 1")
    assert ring.fresh(with_notices(view, STUCK, failed)) == []


def test_an_old_log_that_is_still_read_does_not_ring() -> None:
    ring = Ring()
    view = scenes.live()
    assert ring.fresh(replace(view, caught_up=False)) == []
    assert ring.fresh(with_notices(view, STUCK)) == []


def test_an_end_that_nobody_was_left_to_tell_rings() -> None:
    ring = Ring()
    view = scenes.live()
    assert ring.fresh(view) == []
    run = replace(view.state.run, status="lost", ended=view.now, detail="all gone")
    state = replace(view.state, run=run)
    lost = replace(view, state=state, verdict=judge(state, view.now))
    (notice,) = ring.fresh(lost)
    assert (notice.kind, notice.title) == ("death", f"{scenes.NAME}: lost")
    assert ring.fresh(lost) == []


def test_the_message_is_one_sequence_whatever_the_text() -> None:
    text = "a\x07\x1b]52;c;AAAA\x07b\x9c\nc" + "x" * 5000
    sequence = osc9(replace(STUCK, text=text))
    assert sequence.startswith("\x1b]9;trainwatch: sft: stuck: a")
    assert sequence.endswith("\x07")
    assert sequence[4:-1].isprintable()
    assert len(sequence) < 300


async def test_the_app_rings_for_what_is_new(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = scenes.live()
    app = make_app(view)
    rung: list[Notice] = []
    monkeypatch.setattr(app, "call_person", rung.append)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        app.on_run_updated(RunUpdated(with_notices(view, STUCK)))
        app.on_run_updated(RunUpdated(with_notices(view, STUCK)))
    assert rung == [STUCK]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_read_only_screen_says_so_and_has_no_hands(
    make_app: MakeApp, hands: FakeHands, size: tuple[int, int]
) -> None:
    app = make_app(scenes.live())
    app.read_only = True
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "read-only" in screen_text(app).splitlines()[0]
        keys = app.screen.query_one(KeyLine).render().plain
        assert "abort" not in keys
        assert "type" not in keys
        assert "warnings" in keys
        for key in "asti":
            await pilot.press(key)
            assert isinstance(app.screen, RunScreen)
            assert "only looks" in screen_text(app)
        names = [c.title for c in app.get_system_commands(app.screen)]
        assert "Abort" not in names
        assert "Warnings" in names
        await pilot.press("w", "escape", "m", "escape", "l")
    assert hands.calls == []
