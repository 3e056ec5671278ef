"""What of a peak the ledger does not name."""

from __future__ import annotations

from trainwatch.runner.state import Ledger, Memory


def rest_of_peak(memory: Memory, ledger: Ledger) -> int | None:
    """
    The peak less every entry of the ledger, in bytes; None when a part of it was
    not measured.
    """
    parts = (
        ledger.weights_trainable,
        ledger.weights_frozen,
        ledger.gradients,
        ledger.exp_avg,
        ledger.exp_avg_sq,
    )
    known = [part for part in parts if part is not None]
    if memory.peak is None or len(known) < len(parts):
        return None
    rest = memory.peak - sum(known) - (ledger.optimizer_other or 0)
    return rest if rest >= 0 else None


def rest_is_activations(memory: Memory) -> bool:
    """
    Whether that rest is activations and what else the allocator holds. On a CPU
    the peak is the process's RAM, with the interpreter and the libraries in it.
    """
    return memory.allocated is not None


def rest_name(memory: Memory) -> str:
    if rest_is_activations(memory):
        return "activations and other"
    return "libraries, activations, other"
