"""Waiting for an app, and reading what stands on its screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from trainwatch.tui.app import TrainwatchApp
from trainwatch.tui.screens.launch import LaunchScreen
from trainwatch.tui.screens.runs import RunsScreen
from trainwatch.tui.widgets.rows import Rows

DEADLINE_S = 10.0
MakeApp = Callable[..., TrainwatchApp]
"""`make_app(view)` shows that run, `make_app()` the list of runs."""


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Wait for `condition`, at most DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        await pilot.pause(0.01)
    await pilot.pause()


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the threads have told the app all they know."""
    app = pilot.app
    assert isinstance(app, TrainwatchApp)

    def told() -> bool:
        screen = app.screen
        if isinstance(screen, RunsScreen):
            return screen.listed
        if isinstance(screen, LaunchScreen):
            return screen.query_one(Rows).option_count > 0
        return app.folder is None or app.view.now > 0

    await until(pilot, told)


def screen_text(app: TrainwatchApp) -> str:
    """What stands on the screen, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
