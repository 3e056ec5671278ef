"""Work that blocks, done on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message


def aside(
    name: str, post: Callable[[Message], object], work: Callable[[], Message]
) -> None:
    """Do `work` on a daemon thread and post the message it returns."""

    def run() -> None:
        message = work()
        try:
            post(message)
        except RuntimeError:
            # The event loop has closed: nobody waits for the answer.
            return

    threading.Thread(target=run, name=f"trainwatch-{name}", daemon=True).start()
