"""
What the screen says of a hung data loader, seconds after the hang; and TraceML's.

    python benchmarks/hung.py                               # ours
    python benchmarks/hung.py --traceml path/to/traceml     # the same script beside it
    python benchmarks/hung.py --picture docs/hung.svg

Both get a terminal of 120x40 of their own and nobody presses a key.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import psutil
import pyte

from trainwatch.runner import control
from trainwatch.runner.catalog import Catalog
from trainwatch.runner.hands import Hands
from trainwatch.runner.home import find_run
from trainwatch.runner.view import RunView, look
from trainwatch.tui.app import TrainwatchApp

SCRIPT = Path(__file__).with_name("hung_loader.py")
COLUMNS, ROWS = 120, 40
START_S = 180.0
SETTING = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TERM": "xterm-256color"}


class Terminal:
    """A program on a terminal of its own, and what that shows."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.folder = folder
        self._shown = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._shown)
        self._program = pexpect.spawn(
            words[0],
            words[1:],
            cwd=str(folder),
            env={**os.environ, **SETTING},
            dimensions=(ROWS, COLUMNS),
        )

    def read(self, seconds: float) -> int:
        """The bytes that came within `seconds`."""
        came = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                data = self._program.read_nonblocking(1 << 16, 0.2)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                raise SystemExit(f"it ended:\n{self}") from None
            self._stream.feed(data)
            came += len(data)
        return came

    def read_past_the_hang(self, seconds: float) -> None:
        """Until `seconds` after the script began to hang."""
        deadline = time.monotonic() + START_S
        while not (self.folder / "hung").exists():
            if time.monotonic() > deadline:
                raise SystemExit(f"it never came to the hang:\n{self}")
            self.read(0.2)
        self.read(seconds)
        while self.read(0.5):  # Not in the middle of a picture.
            continue

    def close(self) -> None:
        """End it and all that it started, in whichever session."""
        below = psutil.Process(self._program.pid).children(recursive=True)
        self._program.close(force=True)
        for process in below:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def __str__(self) -> str:
        lines = [line.rstrip() for line in self._shown.display]
        return "\n".join(line for line in lines if line)


def ours(seconds: float, picture: Path | None) -> str:
    """Our headline and screen."""
    home = Path(tempfile.mkdtemp(prefix="twh-"))
    os.environ["TRAINWATCH_HOME"] = str(home)
    (home / "work").mkdir()
    words = [sys.executable, "-m", "trainwatch", "run", "--", sys.executable]
    shutil.copy(SCRIPT, home / "work")
    terminal = Terminal([*words, SCRIPT.name], home / "work")
    try:
        terminal.read_past_the_hang(seconds)
        folder = find_run()
        view = look(folder)
        if picture is not None:
            asyncio.run(draw(folder, view, picture))
        control.ask(folder, "abort", how="kill")
        verdict = view.verdict
        return f"{verdict.state}, {verdict.kind}: {verdict.facts}\n\n{terminal}"
    finally:
        terminal.close()
        shutil.rmtree(home, ignore_errors=True)


class Moment:
    """A feed that shows one view for ever."""

    def __init__(self, view: RunView) -> None:
        self.view = view

    def read(self, budget_s: float = 0.05) -> RunView:
        return self.view

    def close(self) -> None:
        return


async def draw(folder: Path, view: RunView, picture: Path) -> None:
    """The screen of that moment."""
    app = TrainwatchApp(
        Catalog(), Hands(), lambda _: Moment(view), folder, clock=lambda: view.now
    )
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        while app.view.now != view.now:
            await pilot.pause(0.05)
        await pilot.pause(0.5)
        picture.write_text(app.export_screenshot(title="trainwatch: a hung loader"))


def free_port() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return str(bound.getsockname()[1])


def theirs(traceml: Path, seconds: float) -> str:
    """TraceML's screen."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(SCRIPT, name)
        words = [str(traceml), "run", "--mode", "cli", "--run-name", "hung"]
        words += ["--logs-dir", "logs", "--master-port", free_port()]
        words += ["--aggregator-port", free_port(), SCRIPT.name]
        terminal = Terminal(words, Path(name))
        try:
            terminal.read_past_the_hang(seconds)
            return str(terminal)
        finally:
            terminal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n")[0])
    parser.add_argument("--after", type=float, default=60.0, metavar="S")
    parser.add_argument("--traceml", type=Path, help="its command, in its own venv")
    parser.add_argument("--picture", type=Path, help="an SVG of our screen")
    options = parser.parse_args()
    print(f"trainwatch, {options.after:g} s after the hang")
    print(ours(options.after, options.picture))
    if options.traceml:
        print(f"\nTraceML, {options.after:g} s after the hang")
        print(theirs(options.traceml.absolute(), options.after))


if __name__ == "__main__":
    main()
