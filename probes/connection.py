"""
The line to the supervisor: a Unix stream socket that may be gone at any time.

`say` queues an event and returns; one daemon thread writes the queue in batches
and reads requests. When the supervisor does not read, the queue fills and what
can be spared is dropped and counted. When it is gone, the thread connects again,
says hello and repeats what the new one must know.

The thread sleeps until it has something to do: each time it runs, the training
thread may have to wait for the interpreter. It imports nothing: a fork while it
held an import lock would block the child for good.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import threading
import time
from collections import deque

from .guard import switch_off
from .wire import MAX_LINE_BYTES, encode_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, Optional, Tuple

    Fields = Dict[str, Any]
    Item = Tuple[str, Fields, float, float, int]
    """type, fields, wall clock, monotonic clock, sequence number"""

LIMIT = 10_000
"""Events that wait for the supervisor before the sparable ones are dropped."""
HARD_LIMIT = 4 * LIMIT
BATCH = 256
INTERVAL_S = 0.5
"""How long the thread sleeps at most, and an event waits at most."""
PROMPT_S = 0.25
"""An event that comes this long after the last ones were sent is sent at once."""
PATIENT = frozenset(("metrics_logged", "device_timed", "probe_counted"))
"""Of these, the event before must be as old too: a loop of quick steps logs all the
time, and each time the thread runs, a step waits for the interpreter."""
BACK_OFF_S = (0.2, 5.0)
FAREWELL_S = 0.5
"""How long a process that ends may wait for the supervisor to take its last
events."""
SPARABLE = frozenset(
    (
        "step_ended",
        "device_timed",
        "phase_ended",
        "metrics_logged",
        "memory_sampled",
        "warning_raised",
        "probe_counted",
    )
)
REPEATED = (
    "rank_identified",
    "training_began",
    "model_described",
    "optimizer_described",
)
"""Told again to a new supervisor, with their own time."""


def type_of(body: Any) -> str:
    """`StepEnded` -> "step_ended", as `events.type_name` says it."""
    cls = type(body)
    name = _TYPES.get(cls)
    if name is None:
        name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__)
        name = _TYPES[cls] = name.lstrip("_")
    return name


_TYPES: Dict[type, str] = {}


class Connection:
    """
    One connection to `address`.

    Args:
        hello: the fields of `process_joined`, asked at every connect.
        on_request: called on the thread with each request (a dictionary).
        on_tick: called on the thread about every INTERVAL_S.
    """

    def __init__(
        self,
        address: str,
        hello: Callable[[], Fields],
        on_request: Callable[[Fields], None],
        on_tick: Callable[[], None],
        rank: Optional[int] = None,
    ) -> None:
        self.address = address
        self.rank = rank
        self.dropped = 0
        self.errors = 0
        self.events = 0
        self.paused = False
        self.said: Optional[memoryview] = None
        """Where the number of the last event is kept for who comes too late."""
        self._hello = hello
        self._on_request = on_request
        self._on_tick = on_tick
        self._pid = os.getpid()
        self._born = (time.time(), time.monotonic())
        self._numbers = itertools.count(1)
        self._queue: Deque[Item] = deque()
        self._known: Dict[str, Item] = {}
        self._lines: Deque[bytes] = deque()
        self._sent = 0
        self._received = b""
        self._socket: Optional[socket.socket] = None
        self._met = False
        self._next_try = 0.0
        self._back_off = BACK_OFF_S[0]
        self._sent_at = 0.0
        self._said_at = 0.0
        self._bell: Optional[Tuple[socket.socket, socket.socket]] = None
        """What comes in at the first, sent into the second, ends the thread's
        sleep."""
        self._rung = False
        self._turn = 0
        """Whose turn it is to run: a thread of an earlier turn ends."""
        self._sending = threading.Lock()
        """Held at work: a thread that `pause` did not see end may still be in the
        middle of a line."""
        self._thread: Optional[threading.Thread] = None
        self._silent = False

    # --- the training thread's side ---

    def emit(self, body: Any) -> None:
        """Queue an event body of the schema."""
        self.say(type_of(body), body.__dict__)

    def say(self, kind: str, fields: Fields) -> None:
        """Queue the event of type `kind`."""
        if self._silent:
            return
        if self.paused:
            self.resume()
        waiting = len(self._queue)
        if waiting >= LIMIT and (kind in SPARABLE or waiting >= HARD_LIMIT):
            self.dropped += 1
            return
        now = time.monotonic()
        number = next(self._numbers)
        item = (kind, fields, time.time(), now, number)
        if self.said is not None:
            self.said[0] = number
        self.events += 1
        if kind in REPEATED:
            self._known[kind] = item
        elif kind == "training_ended":
            self._known.pop("training_began", None)
        self._queue.append(item)
        quiet = now - (self._said_at if kind in PATIENT else self._sent_at)
        self._said_at = now
        if not self._rung and (waiting >= BATCH or quiet > PROMPT_S):
            self._ring()

    def _ring(self) -> None:
        """End the thread's sleep."""
        self._rung = True
        if self._bell is not None:
            try:
                self._bell[1].send(b"!")
            except OSError:
                self.errors += 1

    def hurry(self, within: float) -> None:
        """
        Send what waits from the calling thread, and return when it has left or after
        `within` seconds: what comes next may be the end of the process.
        """
        deadline = time.monotonic() + within
        if self._silent or not self._sending.acquire(timeout=within):
            return
        try:
            while self._socket is not None and (self._queue or self._lines):
                self._encode()
                self._send()
                if time.monotonic() >= deadline:
                    return
                if self._lines:
                    time.sleep(0.001)
        finally:
            self._sending.release()

    def start(self) -> None:
        """Start the thread."""
        if self._silent or self._thread is not None:
            return
        if self._bell is None:
            try:
                self._bell = socket.socketpair()
            except OSError:
                # No descriptor is left: nothing can be told.
                self.errors += 1
                return
            for end in self._bell:
                end.setblocking(False)
        thread = threading.Thread(
            target=self._run, args=(self._turn,), name="trainwatch", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # No new thread while the interpreter ends; `finish` sends the rest.
            self.errors += 1
        else:
            self._thread = thread

    def pause(self) -> None:
        """End the thread, so that a fork sees none of ours."""
        thread, self._thread = self._thread, None
        if thread is None or self._silent:
            return
        self.paused = True
        self._turn += 1
        self._ring()
        deadline = time.monotonic() + FAREWELL_S
        thread.join(FAREWELL_S)
        # Up to Python 3.12 `join` returns a moment before the thread is gone.
        task = "/proc/self/task/%s" % thread.native_id
        while os.path.exists(task) and time.monotonic() < deadline:
            time.sleep(0.0001)

    def resume(self) -> None:
        """Start the thread again after `pause`."""
        self.paused = False
        self.start()

    def silence(self) -> None:
        """Forget everything, in a forked child: the line belongs to the parent."""
        self._silent = True
        self.said = None
        self._thread = None
        self._queue.clear()
        self._lines.clear()
        self._unhang()
        if self._socket is not None:
            # Closes this process's copy only; the parent's line stays up, and
            # its end is seen when the parent ends.
            self._socket.close()
            self._socket = None

    def finish(self) -> None:
        """Send what waits, within FAREWELL_S, and hang up."""
        if self._silent:
            return
        self.pause()
        self.paused = False
        deadline = time.monotonic() + FAREWELL_S
        self._next_try = 0.0
        if self._sending.acquire(timeout=FAREWELL_S):
            while self._ready() and (self._queue or self._lines):
                self._encode()
                left = deadline - time.monotonic()
                # Once in any case: on a busy machine the time may be over before
                # anything was tried.
                self._send(max(0.0, left))
                if left <= 0:
                    break
        self._silent = True
        self._unhang()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _unhang(self) -> None:
        """Take the bell down."""
        bell, self._bell = self._bell, None
        for end in bell or ():
            end.close()

    # --- the thread's side ---

    def _run(self, turn: int) -> None:
        ticked = 0.0
        readable = False
        while self._turn == turn:
            try:
                with self._sending:
                    if self._turn == turn and self._ready():
                        if readable:
                            self._receive()
                        self._encode()
                        self._send()
                now = time.monotonic()
                if now - ticked >= 0.9 * INTERVAL_S:
                    ticked = now
                    self._on_tick()
            except Exception as error:
                self.errors += 1
                switch_off("connection", error)
            readable = self._sleep(turn)

    def _sleep(self, turn: int) -> bool:
        """Wait until there is something to do; True if it is to read a request."""
        if self._bell is None or self._turn != turn:
            return False
        bell, line = self._bell[0], self._socket
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        if line is not None:
            more = select.POLLOUT if self._lines else 0
            poll.register(line, select.POLLIN | more)
        full = len(self._queue) >= BATCH and not self._lines
        ready = dict(poll.poll(0 if full else int(1000 * INTERVAL_S)))
        self._rung = False
        if bell.fileno() in ready:
            try:
                bell.recv(4096)
            except BlockingIOError:
                pass  # A thread of another turn has heard it.
        return line is not None and ready.get(line.fileno(), 0) & ~select.POLLOUT > 0

    def _ready(self) -> bool:
        """Is the line up? Connects when it is time to try."""
        if self._socket is not None:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        line = None
        try:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.settimeout(FAREWELL_S)
            line.connect(self.address)
            line.setblocking(False)
        except OSError:
            self.errors += 1
            if line is not None:
                line.close()
            self._next_try = now + self._back_off
            self._back_off = min(2 * self._back_off, BACK_OFF_S[1])
            return False
        self._back_off = BACK_OFF_S[0]
        self._socket = line
        self._sent = 0
        self._received = b""
        self._greet()
        return True

    def _greet(self) -> None:
        """Put the hello, and what a new supervisor must know, in front."""
        again = self._met
        wall, mono = (time.time(), time.monotonic()) if again else self._born
        greeting = [("process_joined", self._hello(), wall, mono, next(self._numbers))]
        if again:
            waiting = {item[4] for item in list(self._queue)}
            greeting += [
                self._known[kind]
                for kind in REPEATED
                if kind in self._known and self._known[kind][4] not in waiting
            ]
        self._met = True
        self._lines.extendleft(reversed([self._line(item) for item in greeting]))

    def _line(self, item: Item) -> bytes:
        kind, fields, wall, mono, number = item
        line = encode_line(
            kind,
            fields,
            time=wall,
            mono=mono,
            pid=self._pid,
            rank=self.rank,
            seq=number,
        )
        return line.encode("ascii") + b"\n"

    def _encode(self) -> None:
        queue, lines = self._queue, self._lines
        while queue and len(lines) < BATCH:
            try:
                line = self._line(queue.popleft())
            except (TypeError, ValueError):
                self.errors += 1
                continue
            if len(line) > MAX_LINE_BYTES:
                self.dropped += 1
            else:
                lines.append(line)

    def _send(self, timeout: float = 0.0) -> None:
        """Send lines; the rest of a partial write stays for the next call."""
        lines = self._lines
        line = self._socket
        while lines and line is not None:
            data = b"".join(itertools.islice(lines, BATCH))[self._sent :]
            try:
                if timeout:
                    line.settimeout(timeout)
                sent = line.send(data)
            except (BlockingIOError, InterruptedError, socket.timeout):
                return
            except OSError:
                self._hang_up()
                return
            self._sent += sent
            self._sent_at = time.monotonic()
            while lines and self._sent >= len(lines[0]):
                self._sent -= len(lines.popleft())
            if sent < len(data):
                return

    def _receive(self) -> None:
        line = self._socket
        if line is None:
            return
        try:
            data = line.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._hang_up()
            return
        if not data:
            self._hang_up()
            return
        *requests, self._received = (self._received + data).split(b"\n")
        if len(self._received) > MAX_LINE_BYTES:
            self._received = b""
            self.errors += 1
        for request in requests:
            try:
                decoded = json.loads(request)
                if isinstance(decoded, dict):
                    self._on_request(decoded)
            except ValueError:
                self.errors += 1

    def _hang_up(self) -> None:
        self.errors += 1
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._next_try = time.monotonic() + self._back_off

    @property
    def backlog(self) -> int:
        """Events that wait to be sent."""
        return len(self._queue) + len(self._lines)
