"""
The four rungs of an abort, and which of them is due within a grace period.

Pure. A person climbs rung by rung. Only where somebody else will kill the run when
a grace period is over, by SLURM or a service manager, the rungs follow by
themselves, and each one keeps time back for the ones after it.
"""

from __future__ import annotations

RUNGS = ("step", "now", "tree", "kill")
WORDS = {
    "step": "finish the step and save",
    "now": "stop now",
    "tree": "terminate the tree",
    "kill": "kill",
}
GRACE_S = 30.0
"""The default of `run --grace`: SLURM's KillWait is 30 s unless a site changed it,
and so is the grace period of Kubernetes."""
KEPT_BACK = (("kill", 0.1, 2.0), ("tree", 0.2, 5.0), ("now", 0.35, 12.0))
"""Rung, and what is left when it is due: a share of the grace, at most seconds."""


def place(rung: str) -> str:
    """ "rung 2 of 4, stop now"."""
    return f"rung {RUNGS.index(rung) + 1} of {len(RUNGS)}, {WORDS[rung]}"


def due(elapsed: float, grace: float, rung: str, saving: bool) -> str:
    """
    The rung to stand on, `elapsed` seconds into `grace`, never below `rung`. While
    something is saved only the last one is due.
    """
    left = grace - elapsed
    found = rung
    for name, share, most in KEPT_BACK:
        if left <= min(share * grace, most) and not (saving and name != "kill"):
            found = name
            break
    return max(rung, found, key=RUNGS.index)


def until(grace: float, rung: str) -> float:
    """Seconds into `grace` at which `rung` is due."""
    for name, share, most in KEPT_BACK:
        if name == rung:
            return grace - min(share * grace, most)
    return 0.0
