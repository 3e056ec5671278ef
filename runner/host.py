"""The machine and the child's processes, from outside (psutil)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from trainwatch.probes import events as ev
from trainwatch.probes import limits
from trainwatch.runner import readings


class HostSampler:
    """
    Args:
        child: the child's pid; its whole tree is added up.
        folder: the folder whose disk is watched.
    """

    def __init__(self, child: int, folder: Path) -> None:
        self.child = child
        self.folder = folder
        self._processes: dict[int, psutil.Process] = {}
        self.seen: list[psutil.Process] = []
        """The child and all its descendants, at the last look."""
        self._swap_in: tuple[float, int] | None = None
        self._group = limits.cgroup_limit(child)
        self._footprint = readings.footprint_call()
        self._cards = readings.Cards()
        psutil.cpu_percent()

    def tree(self) -> list[psutil.Process]:
        """The child and all its descendants."""
        try:
            root = psutil.Process(self.child)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def sample(self, mono: float, console_lost: int = 0) -> ev.HostSampled:
        """One look. The first has no rates."""
        cpu: float | None = None
        rss = 0
        self.seen = self.tree()
        found = {process.pid: process for process in self.seen}
        for pid, process in found.items():
            known = self._processes.get(pid)
            if known is None or known != process:
                self._processes[pid] = known = process
            try:
                cpu = (cpu or 0.0) + known.cpu_percent()
                rss += known.memory_info().rss
            except psutil.Error:
                continue
        for pid in self._processes.keys() - found.keys():
            del self._processes[pid]
        memory = psutil.virtual_memory()
        limit = min(memory.total, self._group[0]) if self._group else memory.total
        swap = psutil.swap_memory()
        try:
            free: int | None = psutil.disk_usage(os.fspath(self.folder)).free
        except OSError:
            free = None
        return ev.HostSampled(
            cpu=None if cpu is None else round(cpu, 1),
            cpu_host=psutil.cpu_percent(),
            cores=psutil.cpu_count(),
            ram_total=memory.total,
            ram_available=memory.available,
            ram_limit=limit,
            tree_rss=rss or None,
            swap_used=swap.used,
            swap_in_per_s=self._swap_rate(mono, swap.sin),
            disk_free=free,
            processes=len(found),
            console_lost=console_lost,
            **self._closer(found),
        )

    def _closer(self, pids: Iterable[int]) -> dict[str, Any]:
        """The readings that only some machines have."""
        limit, folder = self._group or (None, None)
        whole = readings.pressure()
        group = folder and readings.pressure(Path(folder, "memory.pressure"))
        footprint = readings.footprint(pids, self._footprint)
        return {
            "cgroup_limit": limit,
            "cgroup_held": limits.cgroup_held(folder) if folder else None,
            "pressure": whole or {},
            "cgroup_pressure": group or {},
            "footprint": footprint,
            "cards": self._cards.read(),
            "unread": readings.why_not(whole, group or None, footprint, self._cards),
        }

    def _swap_rate(self, mono: float, total: int) -> float | None:
        before, self._swap_in = self._swap_in, (mono, total)
        if before is None or mono <= before[0]:
            return None
        return max(0.0, (total - before[1]) / (mono - before[0]))


def memory_limit(pid: int) -> int | None:
    """
    The smallest memory limit of the cgroups above `pid`, versions 1 and 2, in
    bytes; None without one. (A container's limit is often far below RAM.)
    """
    found = limits.cgroup_limit(pid)
    return None if found is None else found[0]


def worth_telling(before: ev.HostSampled | None, now: ev.HostSampled) -> bool:
    """Whether a person would see the difference."""
    if before is None:
        return True
    for name, share, least in (
        ("cpu", 0.1, 10.0),
        ("cpu_host", 0.1, 10.0),
        ("ram_available", 0.02, 1 << 26),
        ("tree_rss", 0.02, 1 << 24),
        ("swap_used", 0.02, 1 << 24),
        ("swap_in_per_s", 0.2, 1 << 20),
        ("disk_free", 0.02, 1 << 28),
        ("processes", 0.0, 0),
        ("console_lost", 0.0, 0),
        ("cgroup_held", 0.02, 1 << 24),
        ("footprint", 0.02, 1 << 24),
    ):
        old, new = getattr(before, name), getattr(now, name)
        if (old is None) != (new is None):
            return True
        if old is not None and abs(new - old) > max(least, share * abs(old)):
            return True
    return any(
        abs(now.pressure.get(kind, 0.0) - before.pressure.get(kind, 0.0)) >= 5.0
        for kind in ("some", "full")
    ) or any(
        value != before.cards.get(name) and (not value or not before.cards.get(name))
        for name, value in now.cards.items()
        if name.endswith(" busy")
    )
