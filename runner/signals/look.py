"""
One look at one process: what it does, what it waits for, what it has used so far.

On Linux from /proc; elsewhere psutil says state, CPU time and context switches, and
what it waits for is not known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import psutil

from trainwatch.runner.signals.proc import Proc, Traffic
from trainwatch.runner.signals.waits import Wait, wait

STATUS = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_IDLE: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "T",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "Z",
}
PLAIN = {"T": "stopped", "Z": "dead", "R": "running"}
"""What a status alone says of the wait."""


@dataclass(frozen=True)
class Look:
    """Seconds and counts are since the process began; None cannot be read here."""

    pid: int
    parent: int = 0
    name: str = ""
    started: float = 0.0
    status: str = ""
    cpu_s: float | None = None
    cpu_main_s: float | None = None
    queued_s: float | None = None
    """The main thread was ready and had no processor."""
    switches: int | None = None
    major_faults: int | None = None
    traffic: Traffic | None = None
    wait: Wait = Wait()
    """Of the main thread."""
    threads: dict[str, int] = field(default_factory=dict)
    """What the other threads wait for -> how many."""


def glance(proc: Proc, pid: int, tick_s: float) -> Look | None:
    """The cheap part of a look, one file; None when the process is gone."""
    stat = proc.stat(pid)
    if stat is None:
        return None
    return Look(
        pid=pid,
        parent=stat.parent,
        name=stat.name,
        started=stat.started * tick_s,
        status=stat.status,
        cpu_s=stat.ticks * tick_s,
        major_faults=stat.major_faults,
    )


def look(proc: Proc, pid: int, tick_s: float) -> Look | None:
    """All that Linux says about `pid`; None when it is gone."""
    stat = proc.stat(pid)
    if stat is None:
        return None
    main = proc.stat(pid, pid)
    queued = proc.queued_ns(pid)
    others: Counter[str] = Counter()
    for thread in proc.threads(pid):
        if thread == pid:
            continue
        of_thread = proc.stat(pid, thread)
        if of_thread is not None:
            others[wait(proc, pid, thread, of_thread.status).what] += 1
    return Look(
        pid=pid,
        parent=stat.parent,
        name=stat.name,
        started=stat.started * tick_s,
        status=stat.status,
        cpu_s=stat.ticks * tick_s,
        cpu_main_s=None if main is None else main.ticks * tick_s,
        queued_s=None if queued is None else queued / 1e9,
        switches=proc.switches(pid),
        major_faults=stat.major_faults,
        traffic=proc.traffic(pid),
        wait=wait(proc, pid, pid, stat.status),
        threads=dict(others),
    )


def portable(process: psutil.Process) -> Look | None:
    """What psutil says on any system; None when the process is gone."""
    try:
        with process.oneshot():
            status = STATUS.get(process.status(), "")
            times = process.cpu_times()
            switches = process.num_ctx_switches().voluntary
            return Look(
                pid=process.pid,
                parent=process.ppid(),
                name=process.name(),
                started=process.create_time(),
                status=status,
                cpu_s=times.user + times.system,
                switches=switches,
                wait=Wait(PLAIN.get(status, "")),
            )
    except psutil.ZombieProcess:
        return Look(pid=process.pid, status="Z", wait=Wait("dead"))
    except (psutil.Error, OSError):
        return None
