"""Which processes are below which. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from trainwatch.runner.signals.look import Look
from trainwatch.runner.state import RunState

WORKERS = ("pt_data_worker", "pt_data_pin")


def subjects(state: RunState, child: int, alive: Iterable[int]) -> list[int]:
    """
    The processes whose progress counts: the ranks, else the process that would be
    shown, else the command itself.
    """
    there = set(alive)
    found = [p.pid for p in state.ranks if p.left is None and p.pid in there]
    if found:
        return found
    lead = state.lead
    if lead is not None and lead.armed and lead.left is None and lead.pid in there:
        return [lead.pid]
    return [child] if child in there else []


def below(pid: int, looks: Mapping[int, Look]) -> list[int]:
    """The processes below `pid`, the nearest first."""
    children: dict[int, list[int]] = {}
    for look in looks.values():
        children.setdefault(look.parent, []).append(look.pid)
    found, level = [], [pid]
    while level:
        level = [
            child for parent in level for child in sorted(children.get(parent, []))
        ]
        level = [child for child in level if child not in found and child != pid]
        found += level
    return found


def names(pids: Iterable[int], looks: Mapping[int, Look]) -> dict[str, int]:
    return dict(Counter(looks[pid].name for pid in pids if pid in looks))


def is_worker(look: Look, command: str, parent: str) -> bool:
    """
    Was it made to share its parent's work? A fork keeps its parent's command line, a
    spawned worker names multiprocessing, torch's go by a name of their own. Any other
    program that was started may end when it likes.
    """
    if look.name in WORKERS or "multiprocessing" in command:
        return True
    return bool(command) and command == parent
