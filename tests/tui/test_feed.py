"""The thread that reads a run, and what the app does when it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from textual.message import Message

from support import scenes
from support.pilots import screen_text, until
from support.scenes import FOLDER, FakeCatalog, FakeFeed, FakeHands
from trainwatch.runner.view import RunView
from trainwatch.tui.app import TrainwatchApp
from trainwatch.tui.feed import Follower, worth_showing
from trainwatch.tui.messages import FeedLost, RunUpdated

DEADLINE_S = 10.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def test_nothing_new_is_not_shown_again() -> None:
    view = scenes.live()
    assert not worth_showing(view, replace(view))
    assert not worth_showing(view, replace(view, now=float(int(view.now))))
    assert worth_showing(view, replace(view, now=view.now + 1))
    assert worth_showing(view, replace(view, console=("new",)))
    assert worth_showing(view, replace(view, supervised=False))
    assert worth_showing(view, scenes.live())


def test_updates_replace_each_other() -> None:
    first, second = RunUpdated(scenes.live()), RunUpdated(scenes.live())
    assert second.can_replace(first)
    assert not second.can_replace(FeedLost("x"))


def test_a_follower_tells_once_and_closes_its_feed() -> None:
    feed = FakeFeed(scenes.live())
    told: list[Message] = []
    follower = Follower(FOLDER, lambda folder: feed, told.append)
    follower.start()
    wait_for(lambda: told)
    follower.stop()
    wait_for(lambda: feed.closed)
    assert [type(message) for message in told] == [RunUpdated]


@dataclass
class Failing:
    """Fails until it is mended."""

    look: RunView
    mended: threading.Event
    reads: int = 0

    def read(self, budget_s: float = 0.05) -> RunView:
        self.reads += 1
        if not self.mended.is_set():
            raise OSError("the disk is away")
        return self.look

    def close(self) -> None:
        return


async def test_a_run_that_cannot_be_read_is_said_and_comes_back() -> None:
    view = scenes.live()
    feed = Failing(view, threading.Event())
    app = TrainwatchApp(
        FakeCatalog(), FakeHands(), lambda folder: feed, FOLDER, clock=lambda: view.now
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "the disk is away" in screen_text(app))
        assert "reading the run" in screen_text(app)
        assert "WORKING" not in screen_text(app)
        feed.mended.set()
        await until(pilot, lambda: "WORKING" in screen_text(app))


async def test_ages_go_on_when_no_look_comes() -> None:
    view = scenes.live()
    now = [view.now]
    app = TrainwatchApp(
        FakeCatalog(),
        FakeHands(),
        lambda folder: FakeFeed(view),
        FOLDER,
        clock=lambda: now[0],
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.view.now > 0)
        assert "usual 1.1 s" in screen_text(app)
        now[0] += 300
        await until(pilot, lambda: "SLOW" in screen_text(app))
        assert "no progress for 5 min" in screen_text(app)


async def test_a_blocked_feed_does_not_keep_the_app_open() -> None:
    released = threading.Event()

    class Blocked:
        def read(self, budget_s: float = 0.05) -> RunView:
            released.wait(DEADLINE_S)
            return scenes.live()

        def close(self) -> None:
            return

    app = TrainwatchApp(
        FakeCatalog(), FakeHands(), lambda folder: Blocked(), Path("/runs/x")
    )
    began = time.monotonic()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
        await pilot.pause()
    assert time.monotonic() - began < DEADLINE_S / 2
    released.set()
    assert app.return_value is not None
    assert app.return_value.name == "x"


async def test_panels_draw_only_what_changed() -> None:
    view = scenes.live()
    app = TrainwatchApp(
        FakeCatalog(),
        FakeHands(),
        lambda folder: FakeFeed(view),
        FOLDER,
        clock=lambda: view.now,
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.view.now > 0)
        drawn: list[str] = []
        from trainwatch.tui.panels.panel import Panel

        for panel in app.screen.query(Panel):
            refresh = panel.refresh

            def noted(
                *regions: object,
                name: str = type(panel).__name__,
                original: Callable[..., object] = refresh,
                **options: object,
            ) -> object:
                drawn.append(name)
                return original(*regions, **options)

            panel.refresh = noted  # type: ignore[method-assign, assignment]
        app.post_message(RunUpdated(replace(view, console=(*view.console, "new line"))))
        await until(pilot, lambda: "new line" in screen_text(app))
        assert set(drawn) == {"ConsolePanel"}
