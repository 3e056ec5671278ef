from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from trainwatch.probes import failures as failures_probe
from trainwatch.probes import guard


@pytest.fixture
def failures() -> Iterator[list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    guard.tell_to(lambda probe, error: told.append((probe, error)))
    yield told
    guard.tell_to(None)


def test_an_error_switches_the_probe_off_and_is_told_once(
    failures: list[tuple[str, str]],
) -> None:
    calls = []

    @guard.guarded("sick")
    def sick() -> int:
        calls.append(1)
        raise ValueError("no")

    @guard.guarded("well")
    def well() -> int:
        return 3

    before = guard.meter.errors
    assert sick() is None
    assert sick() is None
    assert well() == 3
    assert calls == [1]
    assert failures == [("sick", "ValueError: no")]
    assert guard.meter.errors == before + 1


def test_an_interrupt_belongs_to_the_user(failures: list[tuple[str, str]]) -> None:
    @guard.guarded("probe")
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert failures == []


def test_a_report_that_fails_is_counted() -> None:
    def broken(probe: str, error: str) -> None:
        raise OSError

    guard.tell_to(broken)
    before = guard.meter.errors
    guard.switch_off("probe", ValueError())
    guard.tell_to(None)
    assert guard.meter.errors == before + 2


def test_around_passes_everything_through() -> None:
    seen: list[Any] = []

    def function(a: int, *, b: int) -> int:
        """Add."""
        if b < 0:
            raise ValueError("negative")
        return a + b

    def before(args: Any, kwargs: Any) -> Any:
        return None if kwargs["b"] == 0 else (args, kwargs["b"])

    wrapped = guard.around(function, before, lambda *given: seen.append(given))
    assert wrapped(1, b=2) == 3
    assert wrapped(1, b=0) == 1
    assert wrapped.__doc__ == "Add."
    with pytest.raises(ValueError, match="negative") as caught:
        wrapped(1, b=-1)
    assert seen == [(((1,), 2), 3, None), (((1,), -1), None, caught.value)]
    assert guard.around(wrapped, before, print) is wrapped


def test_nothing_is_around_while_a_compiler_reads() -> None:
    seen: list[Any] = []
    wrapped = guard.around(
        lambda: 7, lambda *given: seen.append(given), print, unless=lambda: True
    )
    assert wrapped() == 7
    assert seen == []


def test_a_function_runs_when_its_probe_is_off(
    failures: list[tuple[str, str]],
) -> None:
    @guard.guarded("broken")
    def before(args: Any, kwargs: Any) -> Any:
        raise TypeError("ours")

    wrapped = guard.around(lambda: 7, before, lambda *given: None)
    assert wrapped() == 7
    assert wrapped() == 7
    assert failures == [("broken", "TypeError: ours")]


def test_the_meter_counts_calls_and_time() -> None:
    quick = guard.guarded("probe")(lambda: None)
    calls, seconds = guard.meter.calls, guard.meter.seconds
    for _ in range(10):
        quick()
    assert guard.meter.calls == calls + 10
    assert guard.meter.seconds > seconds


class Late:
    """Ways to write a signal handler that raises."""

    def method(self, number: int, frame: Any) -> None:
        raise TimeoutError("the program's own")

    __call__ = method


@pytest.fixture(params=["function", "method", "object", "partial"])
def handler(request: pytest.FixtureRequest) -> Iterator[None]:
    late = Late()
    ways = {
        "function": lambda number, frame: late(number, frame),
        "method": late.method,
        "object": late,
        "partial": functools.partial(Late.method, late),
    }
    before = signal.signal(signal.SIGUSR1, ways[request.param])
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handler")
def test_what_a_signal_handler_raises_is_the_programs(
    failures: list[tuple[str, str]],
) -> None:
    @guard.guarded("one")
    def hook() -> None:
        signal.raise_signal(signal.SIGUSR1)

    def stands_around(args: Any, kwargs: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)

    with pytest.raises(TimeoutError, match="own"):
        hook()
    call = guard.around(len, stands_around, lambda *_: None)
    with pytest.raises(TimeoutError, match="own"):
        call([])
    assert [probe for probe, _ in failures] == ["one", "hook"]


@pytest.mark.usefixtures("handler")
def test_an_exception_is_told_though_a_signal_comes_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []
    process: Any = SimpleNamespace(
        silent=False,
        timeline=None,
        where=lambda: ("fetch", 7),
        connection=SimpleNamespace(say=lambda kind, fields: said.append(fields)),
    )
    told, late = failures_probe._told, [True]

    def interrupted(*error: Any) -> Any:
        if late:
            late.clear()
            signal.raise_signal(signal.SIGUSR1)
        return told(*error)

    monkeypatch.setattr(failures_probe, "_told", interrupted)
    error = ConnectionResetError("a worker")
    failures_probe.tell(process, type(error), error, None, "")
    assert [(s["message"], s["phase"]) for s in said] == [
        ("ConnectionResetError: a worker", "fetch")
    ]
