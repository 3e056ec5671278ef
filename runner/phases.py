"""
The names that phases are shown by.

A phase that a user named is `custom` in the log, with its name as `detail`; in a
step's table, in the state and on every screen it goes by that name.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainwatch.probes import events as ev

CUSTOM = "custom"
PARTS = ev.STEP_PHASES
"""The known parts of a step, in order."""
MAX_OWN = 64
"""Names that one process may bring; what comes after them is `custom`."""


def shown(phase: str, detail: str) -> tuple[str, str]:
    """The name and the detail to show of `phase`."""
    return (detail, "") if phase == CUSTOM and detail else (phase, detail)


def is_own(name: str) -> bool:
    """Did the user name it?"""
    return name == CUSTOM or name not in ev.PHASES


def filed(name: str, known: Mapping[str, object]) -> str:
    """The name to file a phase under beside those of `known`."""
    if name in ev.PHASES or name in known or len(known) < len(ev.PHASES) + MAX_OWN:
        return name
    return CUSTOM


def in_step(phase: str, step: int | None) -> bool:
    """May `phase`, seen after `step` steps, be a part of one?"""
    return phase in PARTS or (phase == CUSTOM and step is not None)
