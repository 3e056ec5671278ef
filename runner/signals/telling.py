"""
Which looks a person would see: what changed, and now and then that nothing did.
Pure.
"""

from __future__ import annotations

from trainwatch.probes import events as ev

AGAIN_S = 10.0
"""Without a change it is told again this often, of those whose progress counts."""
CHANGE_S = 2.0
"""Changes of one process are told no more often than this."""
BUSY_CPU = 10.0
"""Percent of a core above which what a process waits for between is not told."""
STALLED = 20.0
MOST = 16
"""Processes below one that are told one by one."""
NOTABLE = ("stopped", "dead", "keyboard", "file lock", "pipe full", "terminal full")


def worth_telling(
    before: ev.SignalsSampled | None,
    now: ev.SignalsSampled,
    ago_s: float,
    counts: bool,
) -> bool:
    """
    Args:
        before: what was last told of this process, `ago_s` seconds ago.
        counts: its own progress counts; one below such a process is told of once.
    """
    if before is None:
        return True
    if picture(before) != picture(now):
        return ago_s >= CHANGE_S
    return counts and ago_s >= AGAIN_S


def picture(body: ev.SignalsSampled) -> tuple[object, ...]:
    """What a person would see of it."""
    busy = (body.cpu or 0.0) >= BUSY_CPU
    doing: tuple[object, ...] = ("busy",)
    if not busy:
        status = body.status if body.status in "TZ" else ""
        doing = (status, body.wait, body.target, body.holder, body.prompt)
    return (
        *doing,
        body.idle_since is None,
        tuple(body.children),
        body.ended,
        body.writing,
        (body.stalled or 0.0) >= STALLED,
    )


def first(bodies: list[ev.SignalsSampled]) -> list[ev.SignalsSampled]:
    """Those below a process that are told: the notable ones before the others."""
    return sorted(bodies, key=lambda body: body.wait not in NOTABLE)[:MOST]
