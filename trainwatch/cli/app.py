"""Bare `trainwatch` and `attach`: the screen, wired to the runner."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from trainwatch.cli.run import has_screen, left
from trainwatch.runner import control
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import find_run
from trainwatch.runner.truth import correct

if TYPE_CHECKING:
    from trainwatch.tui.app import TrainwatchApp

OVER_S = 0.2


def home(options: argparse.Namespace) -> int:
    if not has_screen():
        raise RefusedError(
            "this is not a terminal: try `trainwatch runs`, `trainwatch show`, or "
            "`trainwatch run --plain -- CMD`"
        )
    return _open(None)


def attach(options: argparse.Namespace) -> int:
    folder = find_run(options.run)
    correct(folder)
    if options.plain or not has_screen():
        from trainwatch.cli.plain import follow_plain

        return follow_plain(folder, forward=False)
    return _open(folder, read_only=options.read_only)


def show_run(folder: Path, *, ours: bool = True) -> int:
    """
    The run's screen; the child's exit code when it ended meanwhile.

    Args:
        folder: the run directory.
        ours: the run was started here, so a SIGTERM to us is one to it.
    """
    _open(folder, ends_with_us=ours)
    facts = correct(folder)
    if not facts.over:
        return 0
    return 1 if facts.exit_code is None else facts.exit_code


def _open(
    folder: Path | None, *, ends_with_us: bool = False, read_only: bool = False
) -> int:
    from trainwatch.runner.catalog import Catalog
    from trainwatch.runner.hands import Hands
    from trainwatch.runner.view import Watch
    from trainwatch.tui.app import TrainwatchApp

    app = TrainwatchApp(
        Catalog(), Hands(), Watch, folder, clock=time.time, read_only=read_only
    )
    if folder is not None and ends_with_us:
        _end_on_sigterm(folder, app)
    app.run(mouse=False)
    if folder is not None:
        facts = correct(folder)
        if facts.over:
            code = "unknown" if facts.exit_code is None else facts.exit_code
            print(f"{facts.name} {facts.status}, exit code {code} ({folder.name})")
        else:
            print(left(folder, facts.name))
    return app.return_code or 0


def _end_on_sigterm(folder: Path, app: TrainwatchApp) -> None:
    """SIGTERM ends the run within its grace period, and then the screen."""

    def wait() -> None:
        while not correct(folder).over:
            time.sleep(OVER_S)
        app.call_from_thread(app.leave)

    def terminated(number: int, frame: FrameType | None) -> None:
        try:
            control.ask(folder, "terminate", wait_s=5)
        except RefusedError:
            app.leave()
            return
        threading.Thread(target=wait, name="ending", daemon=True).start()

    signal.signal(signal.SIGTERM, terminated)
