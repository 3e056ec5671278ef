"""`run` and `demo`: start a command, then watch it as this terminal allows."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainwatch.runner.errors import UsageError
from trainwatch.runner.launch import TERMINAL_SIZE, launch


def run(options: argparse.Namespace) -> int:
    return start(
        options.argv,
        name=options.name,
        probes=not options.no_probes,
        detach=options.detach,
        plain=options.plain,
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
    detach: bool = False,
    plain: bool = False,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Launch and watch; the child's exit code unless it was left running."""
    screen = not plain and not detach and has_screen()
    folder = launch(
        argv, name=name, probes=probes, size=_size(), environment=environment
    )
    if detach:
        print(folder.name)
        return 0
    if screen:
        from trainwatch.cli.app import show_run

        return show_run(folder)
    from trainwatch.cli.plain import follow_plain

    return follow_plain(folder, forward=True)


def has_screen() -> bool:
    """Whether a full-screen app can be shown here."""
    return (
        sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
    )


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
