"""
The allocations of a simulated training, in order, with the borders of its phases.

The simulation writes one, a model of a device's allocator replays it. A storage is
allocated once and freed at most once; one that changes its size is freed and
allocated anew under another number. What lives before the first phase (weights)
stands in the phase `setup`, what is never freed lives to the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SCHEMA = 1


class Move(NamedTuple):
    """
    One allocation (`sign` 1) or one release (`sign` -1) of `bytes` bytes.
    """

    storage: int
    bytes: int
    sign: int


@dataclass(slots=True)
class Trace:
    """
    `sizes[n]` are the bytes of storage n. `signed` holds n + 1 where storage n is
    allocated and -(n + 1) where it is freed. `borders` are (name, index into
    `signed` where the phase begins), ascending.
    """

    sizes: list[int] = field(default_factory=list)
    signed: list[int] = field(default_factory=list)
    borders: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, phase: str) -> None:
        self.borders.append((phase, len(self.signed)))

    def allocate(self, size: int) -> int:
        """
        The number of the new storage.
        """
        self.sizes.append(size)
        self.signed.append(len(self.sizes))
        return len(self.sizes) - 1

    def free(self, storage: int) -> None:
        self.signed.append(-(storage + 1))

    def __len__(self) -> int:
        return len(self.signed)

    def __iter__(self) -> Iterator[Move]:
        for number in self.signed:
            storage = abs(number) - 1
            yield Move(storage, self.sizes[storage], 1 if number > 0 else -1)

    def phases(self) -> Iterator[tuple[str, list[Move]]]:
        """
        Each phase's name with its moves, in order; names may come again.
        """
        moves = list(self)
        ends = [index for _, index in self.borders[1:]] + [len(moves)]
        for (name, start), end in zip(self.borders, ends, strict=True):
            yield name, moves[start:end]

    def write(self, file: Path) -> None:
        document = {
            "schema": SCHEMA,
            "sizes": self.sizes,
            "signed": self.signed,
            "borders": self.borders,
        }
        file.write_text(json.dumps(document, separators=(",", ":")), "utf-8")


def read(file: Path) -> Trace:
    """
    The trace that `write` wrote. Raises `ValueError` for anything else.
    """
    try:
        document = json.loads(file.read_text("utf-8"))
        trace = Trace(
            [int(size) for size in document["sizes"]],
            [int(number) for number in document["signed"]],
            [(str(name), int(index)) for name, index in document["borders"]],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a trace of allocations: {file}") from error
    if any(not 0 < abs(number) <= len(trace.sizes) for number in trace.signed):
        raise ValueError(f"not a trace of allocations: {file}")
    return trace
