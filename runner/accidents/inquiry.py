"""
The supervisor's questions about slips: before the program, and when it has failed.

The look at the script is made once the child runs. Where another Python than ours
runs it, that one is asked in the background whether it can read the script.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from trainwatch.probes import events as ev
from trainwatch.runner.accidents import failure, look
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.interpreter import Interpreter
from trainwatch.runner.accidents.missing import not_opened
from trainwatch.runner.accidents.reasons import explain
from trainwatch.runner.accidents.script import Script
from trainwatch.runner.accidents.syntax import Fault
from trainwatch.runner.accidents.usage import refused
from trainwatch.runner.console import Tail
from trainwatch.runner.files import complain
from trainwatch.runner.state import RunState

Look = Callable[[], list[ev.FindingRaised]]

ASK_S = 10.0
TAIL = 1 << 14
_QUESTION = """
import json, sys
try:
    compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec")
    print("null")
except SyntaxError:
    error = sys.exc_info()[1]
    print(json.dumps([error.lineno or 1, str(error.msg), type(error).__name__]))
"""


class Inquiry:
    """
    Args:
        argv: the command.
        cwd: where it was started.
        environment: what it was started with.
        first: False where another supervisor has looked already.
    """

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        environment: Mapping[str, str],
        first: bool = True,
    ) -> None:
        self._setting = failure.Setting(argv, cwd, environment)
        self._looked = not first
        self._explained = False
        self._suspects: list[Accident] = []
        """Slips in a script of the shell, which tells no exception."""
        self._programs: dict[int, str] = {}
        self._asked: tuple[subprocess.Popen[str], Script, float] | None = None

    def tick(self) -> list[ev.FindingRaised]:
        """The look, at the first call; later what the other Python answers."""
        return self._without_fail(self._tick)

    def event(self, event: ev.Event, state: RunState) -> list[ev.FindingRaised]:
        """
        The slip behind an exception that nobody caught.

        Args:
            event: any event of a training process.
            state: the run's state after it.
        """
        body = event.body
        if isinstance(body, ev.ProcessJoined):
            self._programs[event.pid] = body.executable
        if not isinstance(body, ev.ExceptionRaised):
            return []
        if body.message.startswith("in thread "):
            return []
        process = state.processes.get(event.pid)
        setting = replace(
            self._setting,
            versions=process.libraries if process is not None else {},
            program=self._programs.get(event.pid, ""),
        )
        last = failure.Failure(body.kind, body.message, body.traceback)
        return self._without_fail(lambda: self._told(last, setting))

    def ended(self, code: int | None, folder: Path) -> list[ev.FindingRaised]:
        """
        The slip behind the end, by what the program wrote last.

        Args:
            code: its exit code.
            folder: the run directory.
        """
        self.close()
        if not code or code < 0 or self._explained:
            return []
        return self._without_fail(lambda: self._by_output(folder))

    def close(self) -> None:
        """Ask no longer."""
        if self._asked is not None:
            self._asked[0].kill()
            self._asked[0].wait()
            self._asked = None

    def _without_fail(self, look: Look) -> list[ev.FindingRaised]:
        """A text that we stumble over is our fault, and ends nothing."""
        try:
            return look()
        except Exception as error:
            complain(f"accidents: {type(error).__name__}: {error}")
            return []

    def _tick(self) -> list[ev.FindingRaised]:
        if not self._looked:
            self._looked = True
            setting = self._setting
            seen = look.look(setting.argv, setting.cwd, setting.environment)
            if seen.to_ask is not None and seen.script is not None:
                self._ask(seen.to_ask, seen.script)
            if seen.script is not None and seen.script.language == "shell":
                self._suspects = [a for a in seen.accidents if a.severity == "serious"]
            return [accident.finding() for accident in seen.accidents]
        accident = self._answer()
        return [accident.finding()] if accident is not None else []

    def _by_output(self, folder: Path) -> list[ev.FindingRaised]:
        tail = Tail(folder, from_end=TAIL)
        while tail.read():
            continue
        output = "\n".join(tail.shown())
        tail.close()
        setting = self._setting
        accident = refused(output, setting.argv)
        accident = accident or not_opened(output, setting.cwd)
        if accident is not None:
            self._explained = True
            return [accident.finding(ended=True)]
        last = failure.said(output)
        told = self._told(last, setting) if last is not None else []
        if told or not self._suspects:
            return told
        return [replace(self._suspects[0], status="likely").finding(ended=True)]

    def _told(
        self, last: failure.Failure, setting: failure.Setting
    ) -> list[ev.FindingRaised]:
        if self._explained:
            return []
        accident = explain(last, setting)
        if accident is None:
            return []
        self._explained = True
        return [accident.finding(ended=True)]

    def _ask(self, python: Interpreter, script: Script) -> None:
        words = [os.fspath(python.program), "-E", "-S", "-W", "ignore", "-c"]
        bare = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "TRAINWATCH"))
        }
        try:
            process = subprocess.Popen(
                [*words, _QUESTION, os.fspath(script.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=bare,
            )
        except OSError:
            return  # Then it cannot run the script either, and that is said.
        self._asked = (process, script, time.monotonic())

    def _answer(self) -> Accident | None:
        if self._asked is None:
            return None
        process, script, since = self._asked
        if process.poll() is None:
            if time.monotonic() - since > ASK_S:
                self.close()
            return None
        self._asked = None
        assert process.stdout is not None
        wrong = _read(process.stdout)
        return look.unreadable(script, wrong) if wrong is not None else None


def _read(answer: IO[str]) -> Fault | None:
    with answer:
        try:
            told = json.loads(answer.read(4096))
            return Fault(int(told[0]), str(told[1]), str(told[2])) if told else None
        except (ValueError, LookupError, TypeError):
            return None
