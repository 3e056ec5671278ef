"""Memory pressure. Linux only: /proc/pressure (Documentation/accounting/psi.rst)."""

from __future__ import annotations

from trainwatch.runner.signals.proc import Proc


def stalled(proc: Proc) -> float | None:
    """Percent of the last ten seconds in which everything waited for memory."""
    for line in (proc.text("pressure", "memory") or "").splitlines():
        words = dict(w.split("=", 1) for w in line.split()[1:] if "=" in w)
        if line.startswith("full") and "avg10" in words:
            return float(words["avg10"])
    return None
