"""
The kind of trouble behind an exception that ended a run, by its type and its words.

Only what the words say is told: a worker of a loader that was killed has nearly always
met a limit of memory, and that is called likely where it is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    kind: str
    do: str = ""
    means: str = ""
    """What the words do not say themselves."""


NONE = Failure("")


_TYPES = {
    "MemoryError": Failure("resource"),
    "JSONDecodeError": Failure("data", "look at that row; it may be cut off"),
    "UnicodeDecodeError": Failure("data", "look at the encoding of that file"),
    "ArrowInvalid": Failure("data"),
    "CastError": Failure("data"),
    "DatasetGenerationError": Failure("data"),
    "FloatingPointError": Failure("numeric"),
    "ConnectionError": Failure("io", "look whether the other end answers, try again"),
    "ConnectTimeout": Failure("io", "look whether the other end answers, try again"),
    "ReadTimeout": Failure("io", "look whether the other end answers, try again"),
    "DistBackendError": Failure("distributed", "look at the rank that fell first"),
}
_WORKER = "likely memory: fewer workers, or more room in /dev/shm (--shm-size)"
_WORDS = (
    (
        r"DataLoader worker .{0,40}(?:killed by signal|exited unexpectedly)",
        Failure("resource", _WORKER),
    ),
    (
        r"No space left on device|Disk quota exceeded",
        Failure("resource", "free the disk, or write to another one"),
    ),
    (
        r"Too many open files",
        Failure("resource", "raise the limit: ulimit -n; or open fewer at a time"),
    ),
    (
        r"Cannot allocate memory|can't allocate memory|can't start new thread|"
        r"unable to (?:mmap|open shared memory)",
        Failure("resource"),
    ),
    (
        r"Torch not compiled with (?:CUDA|MPS) enabled",
        Failure(
            "incompatibility",
            "this build of torch knows no such device: install another one, or use cpu",
        ),
    ),
    (
        r"Found no NVIDIA driver|NVIDIA driver on your system is too old|"
        r"no kernel image is available|undefined symbol|numpy\.dtype size changed",
        Failure("incompatibility", "trainwatch doctor names what does not fit"),
    ),
    (
        r"Connection closed by peer|NCCL (?:error|watchdog)|Timed out .{0,60}barrier",
        Failure("distributed", "look at the rank that fell first"),
    ),
    (
        r"Input/output error|Stale file handle|Read-only file system",
        Failure("io", "look whether that disk or mount answers"),
    ),
)
_HUNG_UP = ("ConnectionResetError", "ConnectionRefusedError", "EOFError")
_LOADER = "torch/utils/data/dataloader.py"
_LOST_WORKER = Failure(
    "resource", _WORKER, "a DataLoader worker has ended while it sent a batch"
)
"""Torch fetches a batch from the worker that made it; then nobody answers."""
_PATTERNS = tuple((re.compile(words), failure) for words, failure in _WORDS)
READ = 2000
"""Characters of a message that are searched."""


def failure(kind: str, message: str, traceback: str = "") -> Failure:
    """
    Args:
        kind: the exception's type, with or without its module.
        message: what it says.
        traceback: where it was raised.

    Returns:
        NONE where these do not tell the kind of trouble.
    """
    name = kind.rpartition(".")[2]
    text = message[:READ]
    found = next((f for pattern, f in _PATTERNS if pattern.search(text)), None)
    if found is None and name in _HUNG_UP and _LOADER in traceback:
        return _LOST_WORKER
    return found or _TYPES.get(name, NONE)
