"""
The supervisor: one process per run, one loop, no terminal.

It receives events, samples flight records and the host, reads the child's output
for warnings, does what the control socket asks, and appends everything to the
log. Training does not depend on it: when it dies the keeper starts another,
which continues the log.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner import (
    headroom,
    launch,
    manifest,
    orphans,
    room,
    slowness,
    sockets,
)
from trainwatch.runner.abort import Abort
from trainwatch.runner.accidents.inquiry import Inquiry
from trainwatch.runner.adoption import refusal
from trainwatch.runner.awake import keep_awake
from trainwatch.runner.checkpoints import CheckpointWatcher, folder_of
from trainwatch.runner.clients import Clients
from trainwatch.runner.commands import Command, answer, interrupt
from trainwatch.runner.console import Tail, offset_at
from trainwatch.runner.drain import Drain
from trainwatch.runner.errors import RefusedError, TrainwatchError
from trainwatch.runner.files import complain, read_json
from trainwatch.runner.flights import Flights
from trainwatch.runner.foothold import Foothold
from trainwatch.runner.growth import Growth
from trainwatch.runner.hook import Hook
from trainwatch.runner.host import HostSampler, worth_telling
from trainwatch.runner.keeper import EXIT, write_exit
from trainwatch.runner.keyboard import Hold, Keyboard
from trainwatch.runner.link import KeeperLink
from trainwatch.runner.log import EventLog
from trainwatch.runner.memory_death import memory_death
from trainwatch.runner.naming import checked
from trainwatch.runner.notice import Notices, document, said
from trainwatch.runner.oom_kills import OomKills
from trainwatch.runner.past import Memory, model_of
from trainwatch.runner.receiver import Receiver
from trainwatch.runner.redact import redact_argv
from trainwatch.runner.saves import UNKNOWN, Saving, expected, place, places
from trainwatch.runner.signals.sampler import Sampler
from trainwatch.runner.snapshot import Snapshot
from trainwatch.runner.stack import Stack
from trainwatch.runner.state import Process, RunState
from trainwatch.runner.text import size
from trainwatch.runner.triage import known, own
from trainwatch.runner.triage.book import Book
from trainwatch.runner.triage.own_engine import engine
from trainwatch.runner.truth import exit_status, start_time
from trainwatch.runner.verdict import judge

TICK_S = 0.1
START_S = 15.0
HOST_S = 1.0
HOST_TELL_S = 10.0
CHECKPOINTS_S = 0.5
NOTICES_S = 1.0
UNARMED_S = 2.0
FAREWELL_S = 2.0
"""After the child's end: how long connections may still bring events."""
COMMANDS: dict[str, type[Command]] = {
    "abort": Abort,
    "snapshot": Snapshot,
    "stack": Stack,
    "keyboard": Hold,
}


class Supervisor:
    """
    Args:
        folder: the run directory.
        terminal: the master side of the child's terminal, kept for the keeper.
        events: the listening event socket.
        control: the listening control socket.
        link: a socket pair to the keeper; its closing means it ended.
        keeper: the keeper's pid.
        child: the child's pid; 0 where the keeper will tell it.
        takeover: why this supervisor follows another one; "" for the first.
    """

    def __init__(
        self,
        folder: Path,
        terminal: int,
        events: socket.socket,
        control: socket.socket,
        link: socket.socket,
        keeper: int,
        child: int = 0,
        takeover: str = "",
    ) -> None:
        self.folder = folder
        self.terminal = terminal
        self.takeover = takeover
        self.log = EventLog(folder)
        self.facts = manifest.read(folder)
        self._selector = selectors.DefaultSelector()
        self.receiver = Receiver(events, self._selector)
        self.keyboard = Keyboard(terminal, self._selector)
        self._keeper = KeeperLink(link, self._selector, keeper, child)
        self._clients = Clients(control, self._selector, self._asked, self._client_left)
        self._foothold = Foothold(
            folder, (self.receiver, self._clients), inherited=bool(takeover)
        )
        self._drain = Drain(terminal, folder)
        self.flights = Flights(folder)
        self.growth = Growth()
        self.home = folder.parents[1]
        self.script = known.script_of(self.facts.argv, self.facts.cwd)
        self.book = self._new_book()
        self.checkpoints = CheckpointWatcher()
        self._tail = Tail(folder)
        self._notices = Notices()
        self._hook = Hook(self.facts.cwd)
        self._inquiry = Inquiry(
            self.facts.argv, self.facts.cwd, os.environ, first=not takeover
        )
        self._host: HostSampler | None = None
        self._signals = Sampler()
        self._past = Memory(self.home, self.script)
        self._told_host: ev.HostSampled | None = None
        self._kills = OomKills(folder)
        self._next: dict[str, float] = {}
        self._commands: list[Command] = []
        self._unarmed: set[Path] = set()
        self._aborting = False
        self._terminated = False
        self._seq = 0
        self._refused = 0
        self._ended_at: float | None = None
        self._exit: int | None = None

    @property
    def state(self) -> RunState:
        return self.log.state

    @property
    def child(self) -> int:
        return self._keeper.child

    def emit(
        self, body: ev.Body, pid: int | None = None, at: float | None = None
    ) -> None:
        """
        Append an event of our own, or one told on behalf of process `pid`, that
        happened now or `at` (wall clock). Only its own events bear its numbers.
        """
        self._seq += pid is None
        process = self.state.processes.get(pid) if pid is not None else None
        self.log.append(
            [
                ev.of(
                    body,
                    time=time.time() if at is None else at,
                    mono=time.monotonic(),
                    pid=os.getpid() if pid is None else pid,
                    rank=process.rank if process else None,
                    seq=0 if pid is not None else self._seq,
                )
            ]
        )

    def terminate(self) -> str:
        """SIGTERM was sent to one of us: end the run within its grace period."""
        self._terminated = True
        return f"ending within {self.facts.grace:g} s"

    # --- the loop ---

    def run(self) -> None:
        """Supervise until the child has ended and everything is written."""
        self._begin()
        while not self._over():
            for key, _ in self._selector.select(TICK_S):
                if key.data is self.receiver:
                    self._receive(key.fileobj)
                elif key.data is self._clients:
                    self._clients.ready(key.fileobj)
                elif key.data is self.keyboard:
                    self.keyboard.ready()
                else:
                    self._hear_keeper()
            self.log.flush()
            self._tick(time.monotonic())
            self.log.flush()
        self._end()

    def _begin(self) -> None:
        self._await_child()
        now = time.time()
        if not self.state.run.id:
            facts = self.facts
            self.emit(
                ev.RunStarted(
                    facts.id,
                    facts.name,
                    facts.argv,
                    facts.cwd,
                    facts.probes,
                    facts.terminal,
                    facts.adopted,
                ),
                at=facts.started,
            )
        if self.state.run.child is None:
            self.emit(ev.ChildSpawned(self.child))
        self.emit(
            ev.SupervisorStarted(
                os.getpid(), self._keeper.pid, bool(self.takeover), self.takeover
            )
        )
        self._take_over()
        if not self.takeover:
            keep_awake(self.child)
        self._recall("")
        self._kills.look(self.child)
        self.facts = replace(
            self.facts,
            status="running",
            child=self.child,
            child_started=start_time(self.child) or now,
            supervisor=os.getpid(),
            supervisor_started=start_time(os.getpid()),
            keeper=self._keeper.pid,
            keeper_started=start_time(self._keeper.pid),
            versions={"trainwatch": _version(), "python": platform.python_version()},
        )
        self._write_manifest()
        self.log.flush()

    def _take_over(self) -> None:
        """Go on from what the log says another supervisor has done."""
        state = self.state
        for process in state.processes.values():
            if process.training and process.training.output_dir:
                self._watch(process.training.output_dir, by_trainer=True)
        if not self.takeover:
            return
        self._catch_up(state.last_event or 0.0)
        self.book.restore(self.state.warnings.values())
        for command in state.commands:
            if command.outcome is None:
                self._aborting |= command.command == "abort"
                detail = "the supervisor that was doing it ended"
                self.emit(
                    ev.CommandFinished(command.id, command.command, "unknown", detail)
                )

    def _catch_up(self, when: float) -> None:
        """
        Judge the output since `when`. A family that is known already is not
        counted again: the index is by the second, so some of it was judged before.
        """
        again, now = self._new_book(), time.time()
        before = self.state.warnings
        self._tail.offset = offset_at(self.folder, when)
        while text := self._tail.raw():
            again.from_console(text, now, "", None)
        for body in again.flush(now):
            if body.key not in before:
                self.emit(body)

    def _new_book(self) -> Book:
        """Warnings by our rules and this user's, and by what the script said before."""
        mine = own.read(own.own_file())
        for line in mine.said(own.own_file()):
            complain(line)
        return Book(engine(mine), known=known.recall(self.home, self.script))

    def _remember(self) -> None:
        """A run that finished: what it said is known the next time."""
        try:
            warnings = self.state.warnings.values()
            known.remember(self.home, self.script, self.facts.id, warnings)
        except OSError as error:
            complain(f"{known.FOLDER}: {error}")

    def _recall(self, model: str) -> None:
        """How long things took in the last run of this script, and of this model."""
        told = self._past.recall(model)
        if told is not None:
            self.emit(told)

    def _await_child(self) -> None:
        """The keeper says which process is the child, once it runs."""
        deadline = time.monotonic() + START_S
        while not self.child:
            if not self._keeper.open or time.monotonic() > deadline:
                raise RefusedError("the command never started")
            for key, _ in self._selector.select(TICK_S):
                if key.data is self._keeper:
                    self._keeper.hear()

    def _tick(self, mono: float) -> None:
        self._notice_end(mono)
        if self._terminated and not self.facts.adopted:
            self._terminated = False
            self._start(Abort, None, {"how": "step", "grace": self.facts.grace})
        self._keeper.look(mono)
        if not self._keeper.open:
            self._replace_keeper(mono)
        for process in self.state.processes.values():
            if process.left is None and process.flight is not None:
                how_far = functools.partial(self._saving, process)
                for body in self.flights.sample(process.pid, mono, how_far):
                    self.emit(body, process.pid)
        self._read_console()
        for found in self._inquiry.tick():
            self.emit(found)
        now = time.time()
        for told in (*self.book.due(now), *self.book.rejudge(self.state, now)):
            self.emit(told)
        if self._due("host", mono, HOST_S):
            self._sample_host(mono)
            self._look_at_memory()
            for finding in slowness.changes(self.state):
                self.emit(finding)
            for found in self._foothold.look():
                self.emit(found)
        if self._due("checkpoints", mono, CHECKPOINTS_S):
            busy = places(self.state, self.flights, self.facts.cwd)
            for checkpoint in self.checkpoints.changed(mono, under_way=busy):
                self.emit(checkpoint)
            for finding in room.changes(self.state):
                self.emit(finding)
        if self._due("notices", mono, NOTICES_S):
            self._call_a_person()
        if self._due("unarmed", mono, UNARMED_S):
            self._tell_unarmed()
        for command in self._commands:
            self._advance(command, lambda c: c.tick(mono))
        self._commands = [c for c in self._commands if c.outcome is None]
        refused = self.receiver.refused
        total = refused.malformed + refused.oversized + refused.foreign
        if total != self._refused and self._due("refused", mono, 1.0):
            self._refused = total
            self.emit(refused.body())
        orphans.reap()

    def _due(self, name: str, mono: float, every: float) -> bool:
        if mono < self._next.get(name, 0.0):
            return False
        self._next[name] = mono + every
        return True

    def _call_a_person(self) -> None:
        """Tell what is due, once it is in the log, so that nobody tells it again."""
        now = time.time()
        verdict = judge(self.state, now)
        notice = self._notices.due(self.state, verdict, now)
        if notice is not None:
            self.emit(said(notice))
            self.log.flush()
            home = os.fspath(self.folder)
            self._hook.tell(notice, document(self.state, verdict, notice, home))
        if not self.state.over:
            for failed in self._hook.tick(time.monotonic()):
                self.emit(said(failed))

    # --- training processes ---

    def _receive(self, file: object) -> None:
        events, closed = self.receiver.ready(file)
        for event in events:
            self._event(event)
        if closed is not None and closed.pid is not None and not closed.said_goodbye:
            for body in self.flights.left(closed.pid, "hang-up", closed.heard):
                self.emit(body, closed.pid)

    def _last_phase(self, pid: int) -> None:
        """Tell in which phase a process ended, however short that phase was."""
        body = self.flights.last(pid)
        if body is not None:
            self.emit(body, pid)
        self.flights.forget(pid)

    def _event(self, event: ev.Event) -> None:
        body = event.body
        now = time.time()
        if isinstance(body, ev.WarningRaised):
            self.book.from_probe(body, now, event.rank)
            return
        if isinstance(body, ev.ProcessJoined):
            event = replace(event, body=replace(body, argv=redact_argv(body.argv)))
        elif isinstance(body, ev.ExceptionRaised):
            self.book.from_probe_exception(body, now, event.rank)
        elif isinstance(body, ev.MemorySampled):
            self.flights.facts(event.pid, body)
        elif isinstance(body, ev.TrainingBegan) and body.output_dir:
            self._watch(body.output_dir, by_trainer=True)
        elif isinstance(body, ev.CheckpointSaved) and not body.ours:
            folder = folder_of(Path(self.facts.cwd, body.path))
            if folder is None:
                return
            self._watch(str(folder.parent))
            event = replace(event, body=replace(body, path=str(folder)))
        elif isinstance(body, ev.ProcessLeft):
            self._last_phase(event.pid)
        self.log.append([event])
        if isinstance(body, ev.ModelDescribed):
            self._recall(model_of(self.state.lead))
        if isinstance(body, (ev.Forecast, ev.ForecastMet)):
            self._look_at_memory()
        for found in self._inquiry.event(event, self.state):
            self.emit(found)
        for command in self._commands:
            command.event(event)

    def _look_at_memory(self) -> None:
        for change in headroom.changes(self.state):
            self.emit(change)

    def _saving(self, process: Process, reading: flight.Reading) -> Saving:
        output = process.training.output_dir if process.training else None
        path = place(reading.detail, output, self.facts.cwd)
        if path is None:
            return UNKNOWN
        since = reading.since + reading.wall_minus_mono
        return Saving(
            self.growth.bytes(path, since), expected(self.state, process, path)
        )

    def _tell_unarmed(self) -> None:
        """Processes in which the probes could not even begin left a note."""
        for path in (self.folder / "flight").glob("*.failed"):
            if path.stem.isdigit() and path not in self._unarmed:
                self._unarmed.add(path)
                error = path.read_text(errors="replace")[:500].strip()
                self.emit(ev.ProbeFailed("start", error), int(path.stem))

    def _watch(self, folder: str, by_trainer: bool = False) -> None:
        self.checkpoints.watch(Path(self.facts.cwd, folder), by_trainer=by_trainer)

    def _read_console(self) -> None:
        lead = self.state.lead
        phase = lead.phase.name if lead else ""
        step = lead.step if lead else None
        deadline = time.monotonic() + TICK_S
        while text := self._tail.raw():
            self.book.from_console(text, time.time(), phase, step)
            self._signals.hear(text, time.time())
            if time.monotonic() > deadline:
                break

    def _sample_host(self, mono: float) -> None:
        self._kills.look(self.child)
        if self._host is None:
            self._host = HostSampler(self.child, Path(self.facts.cwd))
        sample = self._host.sample(mono, self._keeper.lost)
        if worth_telling(self._told_host, sample) or self._due(
            "host told", mono, HOST_TELL_S
        ):
            self._next["host told"] = mono + HOST_TELL_S
            self._told_host = sample
            self.emit(sample)
        tree = self._host.seen
        for told in self._signals.sample(
            mono, time.time(), self.state, self.child, tree, self.flights.beat
        ):
            self.emit(told, told.of)

    # --- control ---

    def _client_left(self, client: socket.socket) -> None:
        for command in self._commands:
            if command.client is client:
                command.client = None

    def _asked(self, client: socket.socket, message: Mapping[str, Any]) -> None:
        name = message["command"]
        if self.facts.adopted and (why := refusal(name)):
            answer(client, "refused", why)
            return
        if name in COMMANDS:
            self._start(COMMANDS[name], client, message)
            return
        if name == "keys":
            self.keyboard.keys(client, message)
            return
        quick: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "type": functools.partial(self.keyboard.type, client),
            "interrupt": lambda _: "interrupted" if interrupt(self) else "",
            "terminate": lambda _: self.terminate(),
            "resize": self.keyboard.resize,
            "echo": lambda _: launch.echo(self.terminal),
            "rename": self._rename,
            "ping": lambda _: f"supervisor {os.getpid()}",
        }
        if name not in quick:
            answer(client, "refused", f"unknown command {name[:40]!r}")
            return
        try:
            answer(client, "done", quick[name](message))
        except TrainwatchError as error:
            answer(client, "refused", str(error))
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer(client, "failed", str(error))

    def _start(
        self,
        kind: type[Command],
        client: socket.socket | None,
        message: Mapping[str, Any],
    ) -> None:
        refused = "the run has just ended" if self._ended_at is not None else ""
        if kind is Snapshot and any(isinstance(c, Snapshot) for c in self._commands):
            refused = "a snapshot is already under way"
        if refused:
            if client is not None:
                answer(client, "refused", refused)
            return
        command = kind(self, secrets.token_hex(4), client)
        how = message.get("how", "")
        self.emit(ev.CommandAsked(command.id, command.name, str(how) if how else ""))
        self._commands.append(command)
        self._advance(command, lambda c: c.begin(message, time.monotonic()))

    def _advance(self, command: Command, move: Callable[[Command], None]) -> None:
        """A command that meets a full disk fails alone."""
        try:
            move(command)
        except OSError as error:
            command.finish("failed", str(error))

    def _rename(self, message: Mapping[str, Any]) -> str:
        name = checked(str(message["name"]))
        self.emit(ev.RunRenamed(name))
        self.facts = replace(self.facts, name=name)
        self._write_manifest()
        return name

    # --- the keeper ---

    def _hear_keeper(self) -> None:
        self._keeper.hear()
        if not self._keeper.open:
            self._replace_keeper(time.monotonic())

    def _replace_keeper(self, mono: float) -> None:
        if self._keeper.ended or (self.folder / EXIT).exists():
            return
        if not self._keeper.restarts.due(mono):
            self._keeper.lost += self._drain.read(TICK_S)
            return
        listening = self.receiver.listener, self._clients.listener
        events, control = (listener.fileno() for listener in listening)
        try:
            self._keeper.replace(self.folder, (self.terminal, events, control))
        except OSError as error:
            complain(f"keeper: {error}")
            return
        why = self._keeper.restarts.why()
        self.emit(ev.SupervisorStarted(os.getpid(), self._keeper.pid, True, why))
        self.facts = replace(
            self.facts,
            keeper=self._keeper.pid,
            keeper_started=start_time(self._keeper.pid),
        )
        self._write_manifest()

    # --- the end ---

    def _notice_end(self, mono: float) -> None:
        if self._ended_at is not None:
            return
        if (self.folder / EXIT).exists():
            try:
                self._exit = read_json(self.folder / EXIT)["code"]
            except (OSError, ValueError, KeyError, TypeError):
                self._exit = None
        elif self._keeper.ended:
            self._exit = self._keeper.code
        else:
            # Only after the keeper's death, and only on Linux: the child is ours.
            self._exit = orphans.exit_of(self.child)
            if self._exit is None:
                return
            write_exit(self.folder, self._exit)
        self._ended_at = mono

    def _over(self) -> bool:
        if self._ended_at is None:
            return False
        if time.monotonic() - self._ended_at > FAREWELL_S:
            return True
        return not self.receiver.connections and not self._keeper.open

    def _end(self) -> None:
        while text := self._tail.raw():
            self.book.from_console(text, time.time(), "end", None)
        self._tell_unarmed()
        for found in self._inquiry.ended(self._exit, self.folder):
            self.emit(found)
        now = time.time()
        rejudge = functools.partial(self.book.rejudge, self.state, now)
        for told in (*rejudge(), *self.book.flush(now), *rejudge()):
            self.emit(told)
        for checkpoint in self.checkpoints.changed(time.monotonic(), everything=True):
            self.emit(checkpoint)
        aborted = self._aborting or any(
            isinstance(c, Abort) and c.acted for c in self._commands
        )
        for command in self._commands:
            self._advance(command, lambda c: c.child_ended(self._exit))
        for pid in self.flights.unended(self.state):
            heard = self.receiver.heard(pid, self.state)
            for body in self.flights.left(pid, "the run ended", heard):
                self.emit(body, pid)
        status, code, number = exit_status(self._exit, aborted)
        detail = "" if self._exit is not None else "nobody saw its exit code"
        if self.facts.adopted:
            detail = "it was adopted, and only its parent is told its exit code"
        if self._keeper.lost:
            detail = f"{size(self._keeper.lost)} of its output could not be kept"
        death = memory_death(self.state, status, code, self._kills.rise())
        if death is not None:
            self.emit(death)
        if self._told_host and self._told_host.console_lost != self._keeper.lost:
            self.emit(replace(self._told_host, console_lost=self._keeper.lost))
        self.emit(ev.RunEnded(status, code, number, detail))
        self._call_a_person()
        self._kills.forget()
        if status == "finished":
            self._remember()
        self._past.remember(self.state)
        self.log.close()
        self.facts = replace(
            self.facts,
            status=status,
            exit_code=code,
            signal=number,
            detail=detail,
            ended=now,
        )
        self._write_manifest()
        self.checkpoints.close()
        if not self._keeper.open:
            self._keeper.lost += self._drain.read(FAREWELL_S)
        sockets.remove(self.folder, launch.EVENTS_SOCKET)
        sockets.remove(self.folder, launch.CONTROL_SOCKET)
        for failed in self._hook.finish():
            complain(f"notify: {failed.error}")

    def _write_manifest(self) -> None:
        try:
            manifest.write(self.folder, self.facts)
        except OSError as error:
            complain(f"run.json: {error}")


def _version() -> str:
    from trainwatch import __version__

    return __version__


def main() -> None:
    """FOLDER FDS KEEPER CHILD WHY; FDS are terminal, events, control, link."""
    folder, fds, keeper, child, takeover = sys.argv[1:]
    terminal, events, control, link = (int(fd) for fd in fds.split(","))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orphans.adopt()
    supervisor = Supervisor(
        Path(folder),
        terminal,
        socket.socket(fileno=events),
        socket.socket(fileno=control),
        socket.socket(fileno=link),
        int(keeper),
        int(child),
        takeover,
    )
    signal.signal(signal.SIGTERM, lambda *_: supervisor.terminate())
    supervisor.run()
