"""
The processes of a run: its command, what that started, and what is left of them.

A process that left its parent's tree is still known when it was seen there before,
when it is in the command's session, or, on Linux, when it has become ours (the
supervisor adopts orphans). Another run that was started inside is not touched.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

from trainwatch.runner.commands import send_signal

OURS = "trainwatch.runner."
"""In the command line of a process that keeps another run."""
GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
LOOK_S = 0.5
ASK_S = 3.0
"""From SIGTERM to SIGKILL, for what the command left behind."""
KILL_S = 3.0


class Tree:
    """
    Args:
        child: the command.
        keeper: our keeper, which may also be a child of ours.
    """

    def __init__(self, child: int, keeper: int | None) -> None:
        self.child = child
        self.keeper = keeper
        self._seen: dict[int, float] = {}
        self._looked = 0.0

    def look(self, mono: float) -> None:
        """Note who belongs to it; called while the command lives."""
        if mono - self._looked >= LOOK_S:
            self._looked = mono
            self.members()

    def members(self) -> list[int]:
        """All that live, the command first."""
        alive = {
            process.pid: process
            for process in psutil.process_iter(["ppid", "status", "create_time"])
            if process.info["status"] not in GONE
        }
        found = {pid for pid, process in alive.items() if self._belongs(process)}
        children: dict[int, list[int]] = {}
        for pid, process in alive.items():
            children.setdefault(process.info["ppid"], []).append(pid)
        waiting = list(found)
        while waiting:
            for pid in children.get(waiting.pop(), ()):
                if pid not in found and not _keeps_a_run(alive[pid]):
                    found.add(pid)
                    waiting.append(pid)
        for pid in found:
            self._seen[pid] = alive[pid].info["create_time"]
        return sorted(found, key=lambda pid: pid != self.child)

    def _belongs(self, process: psutil.Process) -> bool:
        pid = process.pid
        if pid in (os.getpid(), self.keeper):
            return False
        if pid == self.child or self._seen.get(pid) == process.info["create_time"]:
            return True
        try:
            session = os.getsid(pid)
        except OSError:
            return False
        # What we start ourselves stays in our own session.
        orphan = process.info["ppid"] == os.getpid() and session != os.getsid(0)
        return session == self.child or (orphan and not _keeps_a_run(process))

    def signal(self, number: int) -> int:
        """Signal them all, the command first; how many took it."""
        return sum(send_signal(pid, number) for pid in self.members())

    def stop(self, number: int) -> bool:
        """Signal the command; one that is stopped (ctrl+z) is woken to take it."""
        sent = send_signal(self.child, number)
        try:
            if psutil.Process(self.child).status() == psutil.STATUS_STOPPED:
                send_signal(self.child, signal.SIGCONT)
        except psutil.Error:
            return sent
        return sent

    def end(self) -> tuple[int, int, list[int]]:
        """
        After the command's end, end what it left behind: SIGTERM, then SIGKILL.
        Blocks for as long as they take, at most ASK_S + KILL_S.

        Returns:
            How many there were, how many had to be killed, and who lives still.
        """
        left = self.members()
        count = len(left)
        if not count:
            return 0, 0, []
        self.signal(signal.SIGTERM)
        left = self._wait(ASK_S)
        killed = len(left)
        if left:
            self.signal(signal.SIGKILL)
            left = self._wait(KILL_S)
        return count, killed, left

    def _wait(self, seconds: float) -> list[int]:
        deadline = time.monotonic() + seconds
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


def _keeps_a_run(process: psutil.Process) -> bool:
    try:
        return any(OURS in word for word in process.cmdline())
    except psutil.Error:
        return False
