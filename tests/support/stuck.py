"""
Cases of programs that are stuck, slow, waiting or failing, and of such that are not:
what is expected of the headline, and playing them, many at a time.

`tests/e2e/stuck/cases.toml` holds them. Each runs under `trainwatch run --detach` in a
home of its own; its headline is read as every front end reads it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil

from support.runs import until
from trainwatch.runner import control
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.state import Signals
from trainwatch.runner.verdict import Verdict
from trainwatch.runner.view import Watch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRAINWATCH = Path(sys.executable).with_name("trainwatch")
"""Not `python -m trainwatch`, which would find a module of the working folder first."""
SCRIPTS = Path(__file__).parents[1] / "e2e" / "stuck" / "scripts"
CASES = SCRIPTS.parent / "cases.toml"
BEGAN = "began"
"""A file that the script makes when its trouble begins."""

REFUSED = "refused"
"""In place of a verdict: `trainwatch run` did not start it, and said why."""
CALM = ("starting", "working", "slow")
"""What may be said before a verdict."""
ALARMS = ("stuck", "failing", "failed", "killed", "lost")
"""What may never be said of a control."""

PARALLEL = {"light": 8, "busy": 3, "torch": 4}
"""How many cases run at a time, by what they cost."""
LOOK_S = 0.25
START_S = 150.0
"""For a script to come to its trouble on a machine full of others."""
LATE_S = 20.0
"""A verdict that is late is still waited for, so that the table can say how late."""
HALTED_S = 5.0
"""Nobody could look for so long: the machine was halted."""
TRIES = 3
HOLD_S = float(os.environ.get("TRAINWATCH_STUCK_HOLD", "15"))
"""How long a verdict must stand."""


@dataclass(frozen=True)
class Case:
    """
    A script, and what must be said of it. A control has no `states`: it ends by
    itself, and until then none of ALARMS may be said.
    """

    name: str
    what: str
    command: str
    """Words for `trainwatch run`; `{python}` and `{scripts}` are replaced."""
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    says: str = ""
    """A text that the two facts must hold."""
    within_s: float = 20.0
    lasts_s: float = 120.0
    """A control is over by then."""
    load: str = "light"
    beside: str = ""
    """Words for a script that runs beside it, outside of the run."""
    types: str = ""
    """Typed into the run once it waits for the keyboard."""
    corpus: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of the working folder."""

    @property
    def control(self) -> bool:
        return not self.states

    def holds(self, said: Verdict | Change) -> bool:
        """State and kind are right."""
        return said.state in self.states and (not self.kinds or said.kind in self.kinds)

    def met(self, verdict: Verdict) -> bool:
        """The same, and the facts say what they must."""
        return self.holds(verdict) and self.says in " | ".join(verdict.facts)


@dataclass(frozen=True)
class Change:
    """The headline from `at_s` seconds after the trouble began."""

    at_s: float
    state: str
    kind: str | None
    facts: tuple[str, str]
    evidence: str | None = None

    def __str__(self) -> str:
        kind = f" ({self.kind})" if self.kind else ""
        return f"{self.at_s:+.1f} s {self.state}{kind}: {' | '.join(self.facts)}"


@dataclass(frozen=True)
class Record:
    """What was said of a case over its life."""

    case: Case
    changes: tuple[Change, ...] = ()
    """The first headline, and each one whose state or kind was another."""
    signals: tuple[str, ...] = ()
    """What the system said of each process by the last change."""
    met: Change | None = None
    """The first headline that was right."""
    last: Change | None = None
    alive: Change | None = None
    """The last headline before its end."""
    began: bool = True
    """The script came to its trouble."""
    blind_s: float = 0.0
    """The longest time in which nobody could look, as on a halted machine."""
    survivors: tuple[str, ...] = ()
    """Processes of the run that its end left behind."""

    @property
    def wrong(self) -> tuple[str, ...]:
        """What was said and should not have been, or was not and should have."""
        case, found = self.case, []
        if case.control:
            found = [str(c) for c in self.changes if c.state in ALARMS]
            if self.last is None or self.last.state != "finished":
                found.append(f"it did not finish: {self.last}")
        else:
            if self.met is None:
                found.append(f"never said; at the end: {self.last}")
            elif self.met.at_s > case.within_s:
                found.append(f"late, within {case.within_s:g} s: {self.met}")
            met_at = self.met.at_s if self.met else float("inf")
            for change in self.changes:
                early = change.at_s < met_at and change.state in CALM
                if case.holds(change) or early:
                    continue
                found.append(f"said too: {change}")
        if not self.began and case.files == {}:
            found.append("its trouble did not begin")
        if self.survivors:
            found.append(f"left behind: {', '.join(self.survivors)}")
        return tuple(found)

    def __str__(self) -> str:
        lines = [*self.wrong, "in all:", *map(str, self.changes), f"last {self.last}"]
        if self.wrong:
            lines += ["at the last change:", *self.signals]
        if self.blind_s > HALTED_S:
            lines.append(f"nobody could look for {self.blind_s:.0f} s")
        return "\n".join(lines)


def read(path: Path = CASES) -> dict[str, Case]:
    """
    The cases by name.

    Raises:
        ValueError: a name stands twice, or a case has words that no case has.
    """
    tables = tomllib.loads(path.read_text())
    known = {f.name for f in fields(Case)}
    cases: dict[str, Case] = {}
    for table in [*tables["case"], *tables["control"]]:
        if unknown := set(table) - known:
            raise ValueError(f"{table['name']}: {unknown}")
        if table["name"] in cases:
            raise ValueError(f"{table['name']} stands twice")
        lists = {k: tuple(v) for k, v in table.items() if isinstance(v, list)}
        cases[table["name"]] = Case(**{**table, **lists})
    return cases


class NotStartedError(Exception):
    """The system did not start a process of the case; no verdict is to be had."""


class Board:
    """
    Plays cases in their order, as many at a time as PARALLEL says.

    Args:
        cases: which ones.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        self._pools = {
            load: ThreadPoolExecutor(count, thread_name_prefix=load)
            for load, count in PARALLEL.items()
        }
        self._records: dict[str, Future[Record]] = {
            case.name: self._pools[case.load].submit(play, case) for case in cases
        }

    def record(self, name: str) -> Record:
        """Waits until the case has been played."""
        return self._records[name].result()

    def records(self) -> list[Record]:
        return [future.result() for future in self._records.values()]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)


def play(case: Case) -> Record:
    """
    Run a case to its end and keep what is said of it. Once more where the machine was
    halted meanwhile, which looks like nothing a script does, or where what runs beside
    the case was not started.

    Raises:
        NotStartedError: not at the last try either.
    """
    for left in reversed(range(TRIES)):
        home = Path(tempfile.mkdtemp(prefix="tws-"))
        try:
            record = _Play(case, home).record()
        except NotStartedError:
            if not left:
                raise
            continue
        finally:
            shutil.rmtree(home, ignore_errors=True)
        if record.blind_s < HALTED_S:
            break
    return record


def told(signals: Signals, now: float) -> str:
    """Those of one process, `now - seen` old, in one line."""
    idle = signals.idle_since
    return (
        f"{signals.of} {signals.name} {now - signals.seen:.1f} s ago: {signals.status} "
        f"{signals.wait} {signals.call}, threads {dict(signals.threads)}, "
        + ("awake" if idle is None else f"idle for {now - idle:.1f} s")
        + f", CPU {signals.cpu} queued {signals.queued} % "
        f"read {signals.read} write {signals.write} B/s"
    )


class _Play:
    """One case while it is played."""

    def __init__(self, case: Case, home: Path) -> None:
        self.case = case
        self.home = home
        self.cwd = home / "work"
        self.cwd.mkdir()
        for name, text in case.files.items():
            path = self.cwd / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            path.chmod(0o755)
        self.environment = {
            **os.environ,
            "TRAINWATCH_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        self.changes: list[tuple[float, Verdict]] = []
        self.signals: tuple[str, ...] = ()
        self.met: tuple[float, Verdict] | None = None
        self.last: tuple[float, Verdict] | None = None
        self.alive: tuple[float, Verdict] | None = None
        self.blind_s = 0.0
        self.typed = False

    def record(self) -> Record:
        with ExitStack() as beside:
            self._beside(beside)
            folder = self._start()
            if folder is None:
                zero, began, survivors = self.last[0], False, ()
            else:
                zero, began = self._watch(folder)
                survivors = self._end(folder)
        return Record(
            case=self.case,
            changes=tuple(self._change(zero, *c) for c in self.changes),
            signals=self.signals,
            met=self._change(zero, *self.met) if self.met else None,
            last=self._change(zero, *self.last) if self.last else None,
            alive=self._change(zero, *self.alive) if self.alive else None,
            began=began,
            blind_s=self.blind_s,
            survivors=survivors,
        )

    def _words(self, text: str) -> list[str]:
        places = {"python": sys.executable, "scripts": SCRIPTS, "cwd": self.cwd}
        return [word.format(**places) for word in shlex.split(text)]

    def _beside(self, until_end: ExitStack) -> None:
        """Start what runs beside it; at its end that is killed."""
        for words in filter(None, self.case.beside.split(";")):
            command = [sys.executable, str(SCRIPTS / "beside.py"), *shlex.split(words)]
            try:
                process = subprocess.Popen(
                    command, cwd=self.cwd, stdin=subprocess.DEVNULL
                )
            except OSError as error:
                raise NotStartedError(" ".join(command)) from error
            until_end.enter_context(process)
            until_end.callback(process.kill)

    def _start(self) -> Path | None:
        """The run's folder; None where it was refused, which is then the verdict."""
        command = [str(TRAINWATCH), "run", "--detach", "--"]
        done = subprocess.run(
            [*command, *self._words(self.case.command)],
            cwd=self.cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=START_S,
            check=False,
        )
        if done.returncode:
            said = (*done.stderr.strip().splitlines(), "", "")
            self._keep(time.time(), Verdict(REFUSED, facts=said[:2]), over=True)
            return None
        return self.home / "runs" / done.stdout.strip()

    def _watch(self, folder: Path) -> tuple[float, bool]:
        """
        Look at it until enough is known.

        Returns:
            When the trouble began, and whether the script said so.
        """
        started = time.time()
        began = self.cwd / BEGAN
        zero: float | None = None
        watch = Watch(folder)
        looked = time.monotonic()
        try:
            while True:
                view = watch.read()
                now = time.time()
                if self._keep(now, view.verdict, view.state.over):
                    seen = view.state.signals.values()
                    self.signals = tuple(told(s, now) for s in seen)
                if zero is None and began.exists():
                    zero = began.stat().st_mtime
                if self.case.types and view.verdict.state == "waiting":
                    self._type(folder)
                if self._enough(now, view.state.over, zero, started):
                    return zero or started, zero is not None
                time.sleep(LOOK_S)
                self.blind_s = max(self.blind_s, time.monotonic() - looked)
                looked = time.monotonic()
        finally:
            watch.close()

    def _keep(self, now: float, verdict: Verdict, over: bool) -> bool:
        """True where it is another headline than before."""
        self.last = (now, verdict)
        if not over:
            self.alive = self.last
        if self.met is None and self.case.met(verdict):
            self.met = self.last
        before = self.changes[-1][1] if self.changes else None
        same = (verdict.state, verdict.kind)
        if before is not None and (before.state, before.kind) == same:
            return False
        self.changes.append(self.last)
        return True

    def _enough(
        self, now: float, over: bool, zero: float | None, started: float
    ) -> bool:
        case = self.case
        since = now - (zero or started)
        if over:
            # The end is folded; what is said of it does not wait for more.
            return case.control or self.met is not None or since > case.within_s
        if zero is None and not case.files:
            return since > START_S
        if case.control:
            return since > case.lasts_s
        if self.met is not None:
            return now - self.met[0] > HOLD_S
        return since > case.within_s + LATE_S

    def _type(self, folder: Path) -> None:
        if not self.typed:
            self.typed = True
            control.ask(folder, "type", wait_s=10, text=self.case.types)

    def _end(self, folder: Path) -> tuple[str, ...]:
        """Kill the run if it still lives; the processes that outlived it."""
        try:
            control.ask(folder, "abort", how="kill", wait_s=30)
        except RefusedError:
            pass
        try:
            until(lambda: not self._alive(), "no process of the run", within=15)
        except AssertionError:
            left = self._alive()
            said = tuple(" ".join(p.info["cmdline"])[:80] for p in left)
            for process in left:
                process.send_signal(signal.SIGKILL)
            return said
        return ()

    def _alive(self) -> list[psutil.Process]:
        """Processes that have this home in their environment, less the zombies."""
        found = []
        for process in psutil.process_iter(["environ", "cmdline", "status"]):
            home = (process.info["environ"] or {}).get("TRAINWATCH_HOME")
            if home == str(self.home) and process.info["status"] != "zombie":
                found.append(process)
        return found

    def _change(self, zero: float, at: float, verdict: Verdict) -> Change:
        first, second = (self._shortened(fact) for fact in verdict.facts)
        return Change(
            round(at - zero, 1),
            verdict.state,
            verdict.kind,
            (first, second),
            verdict.evidence_status,
        )

    def _shortened(self, text: str) -> str:
        """Without the folders that only this run had."""
        for folder in (str(self.cwd), str(self.home), str(SCRIPTS)):
            text = text.replace(folder + "/", "")
        return text


if __name__ == "__main__":
    # `python -m support.stuck NAME…` in tests/: plays them and prints what was said.
    everything = read()
    for shown in Board([everything[name] for name in sys.argv[1:]]).records():
        print(f"== {shown.case.name}\n{shown}\n", flush=True)
