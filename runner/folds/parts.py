"""
The parts of a state that folds change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from trainwatch.probes import events as ev
from trainwatch.runner.state import Process, RunState

Fold = Callable[[RunState, ev.Event, Any], RunState]
"""(state, event, its body) -> the state after it."""

K = TypeVar("K")
V = TypeVar("V")


def put(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """`mapping` with `key`."""
    return {**mapping, key: value}


def with_process(state: RunState, pid: int, **changes: Any) -> RunState:
    """`state` with `changes` of the process `pid`."""
    process = state.processes.get(pid) or Process(pid=pid)
    return replace(
        state, processes=put(state.processes, pid, replace(process, **changes))
    )


def process_of(state: RunState, event: ev.Event) -> Process:
    """The process that an event is about."""
    return state.processes.get(event.pid) or Process(pid=event.pid, joined=event.time)
