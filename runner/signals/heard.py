"""How a `signals_sampled` becomes state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.state import Signals


def heard(
    known: Mapping[int, Signals], body: ev.SignalsSampled, when: float
) -> Mapping[int, Signals]:
    """`known` after `body`, told at `when`; processes that are gone are left out."""
    before = known.get(body.of)
    facts: dict[str, Any] = {**vars(body), "children": tuple(body.children)}
    now = Signals(**facts, seen=when, since=when)
    if before is not None and same_wait(before, now):
        now = Signals(**facts, seen=when, since=before.since)
    gone = set(before.children) - set(body.children) if before else set()
    kept = {pid: signals for pid, signals in known.items() if pid not in gone}
    return {**kept, body.of: now}


def same_wait(before: Signals, now: Signals) -> bool:
    return (before.status, before.wait, before.target) == (
        now.status,
        now.wait,
        now.target,
    )
