"""`run` and `demo`: start a command, then watch it as this terminal allows."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainwatch.runner.errors import UsageError
from trainwatch.runner.ladder import GRACE_S
from trainwatch.runner.launch import TERMINAL_SIZE, launch


def run(options: argparse.Namespace) -> int:
    return start(
        options.argv,
        name=options.name,
        probes=not options.no_probes,
        grace=options.grace,
        detach=options.detach,
        plain=options.plain,
        terminal=not options.no_pty,
        notify=options.notify or "",
    )


def demo(options: argparse.Namespace) -> int:
    from trainwatch.runner.demo import DEMOS, demo_command

    if options.which not in DEMOS:
        raise UsageError(
            f"there is no demo {options.which!r}: choose one of {', '.join(DEMOS)}"
        )
    argv = demo_command(options.which, options.steps, sys.executable)
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    return start(
        argv,
        name=f"demo-{options.which}",
        detach=options.detach,
        plain=options.plain,
        environment=environment,
    )


def start(
    argv: Sequence[str],
    *,
    name: str | None = None,
    probes: bool = True,
    grace: float = GRACE_S,
    detach: bool = False,
    plain: bool = False,
    terminal: bool = True,
    notify: str = "",
    environment: Mapping[str, str] | None = None,
) -> int:
    """Launch and watch; the child's exit code unless it was left running."""
    open_streams()
    plain = plain or not has_screen()
    folder = launch(
        argv,
        name=name,
        probes=probes,
        grace=grace,
        size=_size(),
        environment=environment,
        terminal=terminal,
        notify=notify,
        stdin=None if detach or not plain else _stdin(terminal),
    )
    if detach:
        print(folder.name)
        return 0
    if not plain:
        from trainwatch.cli.app import show_run

        return show_run(folder)
    # ctrl+c waits until there is somebody to pass it on.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    from trainwatch.cli.plain import follow_plain

    return follow_plain(folder, forward=True)


def _stdin(terminal: bool) -> int | None:
    """
    What the child reads: our own stdin where that is a file, a pipe or nothing, as
    in a bare shell; None is the terminal that it gets from us.
    """
    return None if terminal and os.isatty(0) else 0


def open_streams() -> None:
    """
    Give stdin, stdout and stderr to a process that was started without them.

    (What is opened later would get their numbers.)
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def has_screen() -> bool:
    """Whether a full-screen app can be shown here, and to a person."""
    return has_person() and os.environ.get("TERM", "dumb") != "dumb"


def has_person() -> bool:
    """Whether somebody sits at this terminal."""
    machine = os.environ.get("CI", "").lower() in ("1", "true")
    return sys.stdin.isatty() and sys.stdout.isatty() and not machine


def _size() -> tuple[int, int]:
    """Rows and columns for the child's terminal."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return TERMINAL_SIZE
    return (rows, columns) if rows > 0 and columns > 0 else TERMINAL_SIZE


def left(folder: Path, name: str) -> str:
    """The line that says how to come back."""
    return f"left {name}: the run goes on. trainwatch attach {folder.name}"
