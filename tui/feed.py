"""
The one place that reads a run: a thread that posts `RunUpdated`.

At most five a second, and only when something changed or a second has passed. A
daemon thread, so that a disk that hangs never keeps the app from closing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from textual.message import Message

from trainwatch.runner.view import RunView
from trainwatch.tui.messages import FeedLost, RunUpdated

LIVE_S = 0.1
SHOW_S = 0.15
"""Least seconds between two looks that are shown. With LIVE_S: a change after a
pause is seen within 0.1 s, a stream of changes five times a second."""
OVER_S = 1.0
RETRY_S = 1.0


class Feed(Protocol):
    """A source of looks at one run."""

    def read(self, budget_s: float = 0.05) -> RunView:
        """The run as it is now. Blocks."""

    def close(self) -> None: ...


OpenFeed = Callable[[Path], Feed]
Post = Callable[[Message], object]


class Follower:
    """Follows the run in `folder` until it is stopped."""

    def __init__(self, folder: Path, open_feed: OpenFeed, post: Post) -> None:
        self.folder = folder
        self.silent = False
        """Goes on reading, and posts nothing."""
        self._open_feed = open_feed
        self._post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="trainwatch-feed", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it closes the feed."""
        self._stopped.set()

    def _follow(self) -> None:
        feed: Feed | None = None
        shown: RunView | None = None
        told = ""
        told_at = 0.0
        while not self._stopped.is_set():
            pause = RETRY_S
            try:
                feed = feed or self._open_feed(self.folder)
                view = feed.read()
            except Exception as error:  # whatever it is, the user sees it
                text = f"{type(error).__name__}: {error}"
                if text != told:
                    told = text
                    self._tell(FeedLost(text))
            else:
                told = ""
                now = time.monotonic()
                due = shown is None or now - told_at >= SHOW_S
                if self.silent:
                    shown = None
                elif due and (shown is None or worth_showing(shown, view)):
                    shown, told_at = view, now
                    self._tell(RunUpdated(view))
                pause = OVER_S if view.state.over and view.caught_up else LIVE_S
            self._stopped.wait(pause)
        if feed is not None:
            feed.close()

    def _tell(self, message: Message) -> None:
        if self._stopped.is_set():
            return
        try:
            self._post(message)
        except RuntimeError:
            # The event loop closed between the check and the call.
            self._stopped.set()


def worth_showing(shown: RunView, view: RunView) -> bool:
    """True when `view` would look different, ages in whole seconds."""
    return (
        shown.state is not view.state
        or int(shown.now) != int(view.now)
        or shown.console != view.console
        or shown.supervised != view.supervised
        or shown.caught_up != view.caught_up
        or shown.verdict.state != view.verdict.state
    )
