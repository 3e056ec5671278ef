"""The runs of this machine, and starting new ones from inside the app."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from trainwatch.runner import memo, shelf, truth
from trainwatch.runner.demo import DEMOS
from trainwatch.runner.errors import LaunchError, RefusedError
from trainwatch.runner.fit.check import check
from trainwatch.runner.home import home, run_folders
from trainwatch.runner.launch import process_words
from trainwatch.runner.state import RunState
from trainwatch.runner.summary import RunSummary
from trainwatch.runner.view import Watch

LAUNCH_S = 30.0
LIVE_S = 0.2


def summaries(limit: int | None = None) -> tuple[RunSummary, ...]:
    """The runs, newest first, with their true status; unreadable ones are named
    so."""
    return tuple(summary(folder) for folder in run_folders()[:limit])


def summary(folder: Path) -> RunSummary:
    try:
        facts = truth.correct(folder)
    except RefusedError as error:
        return RunSummary(
            id=folder.name,
            name=folder.name,
            folder=folder,
            command=str(error),
            status="unreadable",
            home=str(home()),
        )
    state, verdict = (_kept_state(folder), "") if facts.over else _live(folder)
    lead = state.lead
    return RunSummary(
        id=facts.id,
        name=facts.name,
        folder=folder,
        command=shlex.join(facts.argv),
        status=facts.status,
        started=facts.started,
        ended=facts.ended,
        step=lead.step if lead else None,
        verdict=verdict,
        max_steps=lead.training.max_steps if lead and lead.training else None,
        home=str(home()),
    )


def _live(folder: Path) -> tuple[RunState, str]:
    """State and verdict of a run that lives, as far as one can read in a moment."""
    watch = Watch(folder)
    try:
        view = watch.read(LIVE_S)
    except OSError:
        return _kept_state(folder), ""
    finally:
        watch.close()
    return view.state, view.verdict.state if view.caught_up else ""


def _kept_state(folder: Path) -> RunState:
    """The state as it was last kept: after the end it is whole."""
    return memo.load(folder)[0]


class Catalog:
    """What the runs list and the launcher may ask for."""

    def runs(self) -> tuple[RunSummary, ...]:
        return summaries()

    def rename(self, folder: Path, name: str) -> str:
        return shelf.rename(folder, name)

    def remove(self, folder: Path) -> int:
        return shelf.remove(folder)

    def surplus(self, keep: int) -> list[Path]:
        return shelf.surplus(keep)

    def launch(self, command: str, cwd: str) -> Path:
        """
        Start a command line in `cwd`.

        Raises:
            LaunchError: it is empty, badly quoted, or cannot be started.
        """
        try:
            argv = shlex.split(command)
        except ValueError as error:
            raise LaunchError(f"the command line cannot be read: {error}") from None
        if not argv:
            raise LaunchError("there is no command to run", 2)
        return self._start(["run", "--detach", "--", *argv], cwd)

    def demos(self) -> tuple[tuple[str, str], ...]:
        return tuple((demo.name, demo.summary) for demo in DEMOS.values())

    def launch_demo(self, name: str) -> Path:
        """
        Raises:
            LaunchError: the training packages are missing.
        """
        return self._start(["demo", name, "--detach"], os.getcwd())

    def check_fit(self, words: str, cwd: str) -> str:
        return check(words, cwd)

    def _start(self, words: list[str], cwd: str) -> Path:
        """Through a process of its own: launching forks, and an app has threads."""
        try:
            done = subprocess.run(
                [*process_words("trainwatch.__main__"), *words],
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=LAUNCH_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LaunchError(str(error)) from None
        if done.returncode != 0:
            text = done.stderr.strip().splitlines() or ["it did not start"]
            raise LaunchError(text[-1].removeprefix("trainwatch: "), done.returncode)
        return home() / "runs" / done.stdout.strip()
