"""`rename`, `remove`, `prune`: the runs that are kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainwatch.cli.run import has_person
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.home import find_run
from trainwatch.runner.manifest import name_of
from trainwatch.runner.shelf import check, remove, snapshots, surplus, weight
from trainwatch.runner.shelf import rename as give_name
from trainwatch.runner.text import plain, size


def rename(options: argparse.Namespace) -> int:
    folder = find_run(options.run)
    print(f"{folder.name} is now called {give_name(folder, options.name)}")
    return 0


def remove_run(options: argparse.Namespace) -> int:
    folder = find_run(options.run)
    check(folder)
    if not _agreed([folder], options.yes):
        print("kept")
        return 0
    print(f"removed {folder.name}: {size(remove(folder))}")
    return 0


def prune(options: argparse.Namespace) -> int:
    folders = surplus(options.keep)
    if not folders:
        print(f"nothing to remove: no more than {options.keep} runs that are over")
        return 0
    if not _agreed(folders, options.yes):
        print("kept")
        return 0
    freed = sum(remove(folder) for folder in folders)
    print(f"removed {len(folders)} runs: {size(freed)}")
    return 0


def _agreed(folders: Sequence[Path], yes: bool) -> bool:
    """
    Whether they may go.

    Raises:
        RefusedError: there is nobody to ask.
    """
    if yes:
        return True
    if not has_person():
        raise RefusedError("nobody can be asked here: --yes removes without asking")
    for folder in folders:
        print(described(folder))
    print(f"Remove {'it' if len(folders) == 1 else 'them'}? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def described(folder: Path) -> str:
    """One run that would go."""
    kept = snapshots(folder)
    more = f", with {kept} snapshot{'s' * (kept > 1)}" if kept else ""
    name = plain(name_of(folder) or "?")
    return f"{folder.name}  {name}  {size(weight(folder))}{more}"
