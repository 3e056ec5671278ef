"""Apps on prepared runs, with the clock and the cursor standing still."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from support.pilots import MakeApp
from support.scenes import FOLDER, T0, FakeCatalog, FakeFeed, FakeHands
from trainwatch.runner.view import RunView
from trainwatch.tui.app import TrainwatchApp


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTF-8, colours and a cursor that does not blink, whatever the machine says."""
    monkeypatch.setenv("TRAINWATCH_ASCII", "0")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(Input.cursor_blink, "_default", False)


@pytest.fixture
def hands() -> FakeHands:
    return FakeHands()


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()


@pytest.fixture
def make_app(hands: FakeHands, catalog: FakeCatalog) -> MakeApp:
    """`make_app(view)` shows that run, `make_app()` the list of runs."""

    def make(view: RunView | None = None) -> TrainwatchApp:
        feed = FakeFeed(view) if view is not None else FakeFeed(RunView(now=T0))
        now = view.now if view is not None else T0
        return TrainwatchApp(
            catalog,
            hands,
            lambda folder: feed,
            FOLDER if view is not None else None,
            clock=lambda: now,
            cwd="/home/ada/docs",
        )

    return make
