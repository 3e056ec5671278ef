"""
What a run's manifest claims, held against the processes that are alive.

A run whose processes have all gone cannot be running. The next reader says so:
with the exit code when the keeper wrote one down, else as `lost`.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner import manifest, sockets
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.files import read_json
from trainwatch.runner.flights import Flights
from trainwatch.runner.keeper import EXIT
from trainwatch.runner.launch import CONTROL_SOCKET
from trainwatch.runner.log import EventLog
from trainwatch.runner.memory_death import memory_death
from trainwatch.runner.oom_kills import OomKills
from trainwatch.runner.state import RunFacts, RunState

STARTING_S = 15.0
"""A run that is so young may not have its sockets yet. An older one that has named
no process, as on a machine under load, is alive while somebody holds them."""
SAME_START_S = 2.0
GONE_S = 30.0
"""Whoever still has the files of a removed run open hears of it every ten seconds, as
long as it is supervised."""


def start_time(pid: int) -> float | None:
    """When the process began (Unix time), None when there is no such process."""
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def alive(pid: int | None, started: float | None) -> bool:
    """Whether that very process lives: a pid alone may be somebody else's now."""
    if pid is None:
        return False
    if sys.platform == "linux" and not os.path.exists(f"/proc/{pid}"):
        return False
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started is None or (abs(process.create_time() - started) < SAME_START_S)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def supervised(folder: Path) -> bool:
    """Whether a supervisor or a keeper of the run lives."""
    try:
        facts = manifest.read(folder)
    except RefusedError:
        return False
    if facts.supervisor is None and facts.keeper is None:
        young = time.time() - (facts.started or 0.0) < STARTING_S
        return young or sockets.held(folder, CONTROL_SOCKET)
    if alive(facts.supervisor, facts.supervisor_started):
        return True
    if alive(facts.keeper, facts.keeper_started):
        return True
    # When the machine's clock is set, the start of every process moves with it.
    return sockets.held(folder, CONTROL_SOCKET)


def exit_status(code: int | None, aborted: bool) -> tuple[str, int | None, int | None]:
    """
    Status, exit code and signal for a child's end.

    Args:
        code: as `os.waitstatus_to_exitcode` gives it; None when nobody saw it.
        aborted: a person asked for the end.
    """
    if code is None:
        return "lost", None, None
    if code < 0:
        return ("aborted" if aborted else "killed"), 128 - code, -code
    if aborted:
        return "aborted", code, None
    return ("finished" if code == 0 else "failed"), code, None


def correct(folder: Path) -> manifest.Manifest:
    """
    The manifest, after its status was made true.

    Raises:
        RefusedError: it cannot be read, or a newer trainwatch wrote it.
    """
    facts = manifest.read(folder)
    if facts.over or supervised(folder):
        return facts
    if alive(facts.child, facts.child_started):
        return facts
    try:
        log = EventLog(folder)
    except OSError:
        return replace(facts, status="lost", detail="its log cannot be opened")
    run = log.state.run
    if not log.state.over:
        ended = _from_exit(folder, log)
        kills = OomKills(folder)
        death = memory_death(log.state, ended.status, ended.exit_code, kills.rise())
        told = ev.RunEnded(ended.status, ended.exit_code, ended.signal, ended.detail)
        at = ended.ended or time.time()
        _tell_who_left(folder, log, at)
        for body in (death, told):
            if body is not None:
                log.append([ev.of(body, time=at, pid=os.getpid())])
        kills.forget()
        run = log.state.run
    corrected = replace(
        facts,
        status=run.status,
        exit_code=run.exit_code,
        signal=run.signal,
        detail=run.detail,
        ended=run.ended,
    )
    try:
        log.close()
        manifest.write(folder, corrected)
    except OSError:
        return corrected  # A full disk: the next reader corrects it again.
    return corrected


def with_manifest(state: RunState, facts: manifest.Manifest) -> RunState:
    """`state` as the manifest knows it ended, where the log could not be written."""
    if state.over or not facts.over:
        return state
    run = replace(
        state.run,
        id=facts.id,
        name=facts.name,
        argv=tuple(facts.argv),
        cwd=facts.cwd,
        status=facts.status,
        exit_code=facts.exit_code,
        signal=facts.signal,
        started=facts.started,
        ended=facts.ended,
        detail=facts.detail,
    )
    return replace(state, run=run)


def _tell_who_left(folder: Path, log: EventLog, at: float) -> None:
    """Where each process ended whose end nobody saw, and what it could not tell."""
    flights = Flights(folder)
    for pid in flights.unended(log.state):
        process = log.state.processes.get(pid)
        rank = process.rank if process else None
        heard = log.state.heard.get(pid, 0)
        for body in flights.left(pid, "the run ended", heard):
            log.append([ev.of(body, time=at, pid=pid, rank=rank)])


def _from_exit(folder: Path, log: EventLog) -> RunFacts:
    """How the run ended by the keeper's word, else as lost."""
    aborted = any(c.command == "abort" for c in log.state.commands)
    try:
        document = read_json(folder / EXIT)
        code, ended = document["code"], float(document["time"])
    except (OSError, ValueError, KeyError, TypeError):
        return RunFacts(
            status="lost",
            ended=log.state.last_event or time.time(),
            detail="all its processes are gone and nobody saw how it ended",
        )
    status, exit_code, signal = exit_status(code, aborted)
    detail = "nobody was left to see its exit code" if code is None else ""
    return RunFacts(
        status=status, exit_code=exit_code, signal=signal, ended=ended, detail=detail
    )
