"""`abort`, `snapshot`, `stack`: the hands, from any terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from trainwatch.runner import control
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import find_run
from trainwatch.runner.ladder import RUNGS
from trainwatch.runner.outcome import Outcome
from trainwatch.runner.text import plain

FAILED = 1


def abort(options: argparse.Namespace) -> int:
    chosen = [rung for rung in RUNGS[1:] if getattr(options, rung)]
    how = chosen[0] if chosen else RUNGS[0]
    return _ask(find_run(options.run), "abort", how=how, grace=options.grace)


def snapshot(options: argparse.Namespace) -> int:
    return _ask(
        find_run(options.run), "snapshot", wait_s=options.wait, again=options.again
    )


def stack(options: argparse.Namespace) -> int:
    outcome = _watch(find_run(options.run), "stack", wait_s=15)
    if outcome.ok:
        print(plain(Path(outcome.path).read_text(errors="replace")))
    return _end(outcome)


def _ask(folder: Path, command: str, **arguments: Any) -> int:
    outcome = _watch(folder, command, **arguments)
    if outcome.ok:
        print(plain(outcome.detail))
        if outcome.path:
            print(outcome.path)
    return _end(outcome)


def _watch(folder: Path, command: str, **arguments: Any) -> Outcome:
    """Say on stderr what is under way; the outcome."""
    outcome = Outcome()
    for outcome in control.progress(folder, command, **arguments):
        if not outcome.outcome:
            print(plain(f"… {outcome.detail}"), file=sys.stderr, flush=True)
    return outcome


def _end(outcome: Outcome) -> int:
    if outcome.ok:
        return 0
    if outcome.outcome == "refused":
        raise RefusedError(outcome.detail)
    print(f"trainwatch: {outcome.outcome}: {outcome.detail}", file=sys.stderr)
    return FAILED
