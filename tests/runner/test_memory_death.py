"""What is said of a run that died, where memory is or may be the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.memory_death import DEATH, KILLED, memory_death
from trainwatch.runner.need import DO_BY_PHASE
from trainwatch.runner.oom_kills import MACHINE, Rise
from trainwatch.runner.state import RunState
from trainwatch.runner.verdict import judge

PID = 100
GIB = 1 << 30
NONE = Rise(readable=True)
OWN = Rise(own=1, machine=1, where="sys/fs/cgroup/memory/job", readable=True)
CUDA = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 8.00 GiB. GPU 0 "
    "has a total capacity of 23.60 GiB of which 6.20 GiB is free. Including "
    "non-PyTorch memory, this process has 17.40 GiB memory in use. Of the allocated "
    "memory 16.80 GiB is allocated by PyTorch, and 100.00 MiB is reserved by PyTorch "
    "but unallocated."
)
MPS = (
    "RuntimeError: MPS backend out of memory (MPS allocated: 33.48 GB, other "
    "allocations: 2.45 GB, max allowed: 36.27 GB). Tried to allocate 600.15 MB on "
    "private pool."
)


def training(*bodies: ev.Body, phase: str = "optimizer", done: int = 0) -> RunState:
    """A run in `phase` after `done` steps, then `bodies`."""
    begin: list[ev.Body] = [
        ev.RunStarted("id", "train", ["python", "train.py"], "/work"),
        ev.ProcessJoined(role="other"),
        ev.TrainingBegan("Trainer", 0, 10),
        *(ev.StepEnded(step=n + 1, seconds=1.0) for n in range(done)),
        ev.MemorySampled("cpu", rss=3 * GIB),
        ev.PhaseObserved(PID, phase, 1010.0, done),
    ]
    return fold_all(
        ev.of(body, time=1000.0 + index, pid=PID, rank=0)
        for index, body in enumerate([*begin, *bodies])
    )


def died(message: str, phase: str, done: int = 0) -> RunState:
    kind = message.partition(":")[0]
    return training(
        ev.ExceptionRaised(kind, message, phase=phase, step=done),
        phase=phase,
        done=done,
    )


@pytest.mark.parametrize(
    ("message", "phase", "done", "summary"),
    [
        (
            CUDA,
            "optimizer",
            0,
            "CUDA out of memory in optimizer, step 1: needed at least 27.3, "
            "limit 25.3 GB",
        ),
        (
            MPS,
            "backward",
            1,
            "MPS out of memory in backward, step 2: needed at least 39.2, "
            "limit 38.9 GB",
        ),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. "
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate "
            "68719476736 bytes. Error code 12 (Cannot allocate memory)",
            "load",
            0,
            "CPU out of memory in load",
        ),
        (
            "MemoryError: ",
            "evaluate",
            20,
            "CPU out of memory in evaluate after step 20",
        ),
    ],
)
def test_a_refused_allocation(
    message: str, phase: str, done: int, summary: str
) -> None:
    found = memory_death(died(message, phase, done), "failed", 1, NONE)
    assert found is not None
    assert (found.rule, found.severity, found.kind) == (DEATH, "serious", "resource")
    assert found.summary == summary
    assert found.evidence
    assert found.do


def test_the_numbers_of_the_message_are_evidence() -> None:
    found = memory_death(died(CUDA, "optimizer"), "failed", 1, NONE)
    assert found is not None
    assert found.evidence == [
        "asked for 8.59 GB",
        "live tensors 18 GB",
        "reserved by torch 18.1 GB",
        "free 6.66 GB of 25.3 GB",
    ]
    assert found.do == DO_BY_PHASE["optimizer"]


@pytest.mark.parametrize(
    ("implementation", "told"), [("fused", False), ("foreach", True), (None, False)]
)
def test_a_fused_optimizer_is_not_told_to_be_fused(
    implementation: str | None, told: bool
) -> None:
    kind = ev.OptimizerDescribed("AdamW", implementation)
    message = ev.ExceptionRaised("OutOfMemoryError", CUDA, phase="optimizer", step=0)
    found = memory_death(training(kind, message), "failed", 1, NONE)
    assert found is not None
    assert found.do.startswith("A fused optimizer needs no temporary copies") is told


def test_memory_in_pieces_is_said() -> None:
    text = CUDA.replace("100.00 MiB is reserved", "9.00 GiB is reserved")
    found = memory_death(died(text, "forward"), "failed", 1, NONE)
    assert found is not None
    assert "9.66 GB were reserved and unused, but in pieces" in found.evidence


def test_the_console_tells_where_no_probe_does() -> None:
    state = fold_all(
        ev.of(body, time=1000.0 + index, pid=1)
        for index, body in enumerate(
            [
                ev.RunStarted("id", "train", ["python", "train.py"], "/work"),
                ev.WarningTriaged("k", "memory.mps", "serious", "resource", MPS),
            ]
        )
    )
    found = memory_death(state, "failed", 1, NONE)
    assert found is not None
    assert found.summary.startswith("MPS out of memory: needed at least ")


@pytest.mark.parametrize("status", ["finished", "aborted", "running"])
def test_a_run_that_did_not_die_of_it(status: str) -> None:
    assert memory_death(died(CUDA, "forward"), status, 0, OWN) is None


def test_another_error_is_no_memory_death() -> None:
    state = died("ValueError: no", "forward")
    assert memory_death(state, "failed", 1, NONE) is None
    # An earlier refusal that the program had caught does not count then.
    caught = ev.WarningTriaged("k", "memory.device", "serious", "resource", CUDA)
    state = training(caught, ev.ExceptionRaised("ValueError", "ValueError: no"))
    assert memory_death(state, "failed", 1, NONE) is None


@pytest.mark.parametrize(
    ("rise", "summary", "shared"),
    [
        (
            OWN,
            "killed in optimizer, step 1: out of memory, the limit is 4.29 GB",
            False,
        ),
        (
            Rise(machine=1, where=MACHINE, readable=True),
            "killed, most likely by the kernel, in optimizer, step 1: out of memory, "
            "the limit is 4.29 GB",
            True,
        ),
    ],
)
def test_the_kernel_killed_it(rise: Rise, summary: str, shared: bool) -> None:
    state = training(ev.HostSampled(ram_limit=4 * GIB, tree_rss=3 * GIB))
    found = memory_death(state, "killed", 137, rise, "linux")
    assert found is not None
    assert (found.rule, found.summary) == (DEATH, summary)
    first, *more = found.evidence
    assert first.startswith("oom_kill of ")
    assert ("which other processes share" in first) is shared
    assert "3.22 GB held when last seen" in more[0]
    assert "3.22 GB of 4.29 GB in RAM by all its processes" in more[1]


def test_a_rank_or_a_worker_was_killed() -> None:
    state = training(ev.ProcessLeft("hang-up"))
    found = memory_death(state, "failed", 1, OWN)
    assert found is not None
    assert found.rule == DEATH
    message = "RuntimeError: DataLoader worker (pid 5) is killed by signal: Killed. "
    found = memory_death(died(message, "fetch"), "failed", 1, OWN)
    assert found is not None
    assert found.rule == DEATH
    assert memory_death(died(message, "fetch"), "failed", 1, NONE) is None
    # Somebody else's kill on this machine, while our run failed by itself.
    elsewhere = Rise(machine=1, where=MACHINE, readable=True)
    for reason in ("exit", "the run ended"):
        state = training(ev.ProcessLeft(reason))
        assert memory_death(state, "failed", 1, elsewhere) is None


def test_the_first_rank_that_fell_is_the_one() -> None:
    bodies = [
        (100, 0, ev.PhaseObserved(100, "backward", 1000.0, 3)),
        (101, 1, ev.PhaseObserved(101, "optimizer", 1000.0, 3)),
        (101, 1, ev.ProcessLeft("hang-up")),
        (100, 0, ev.ProcessLeft("hang-up")),
    ]
    state = fold_all(
        ev.of(body, time=1000.0 + index, pid=pid, rank=rank)
        for index, (pid, rank, body) in enumerate(
            [
                (100, 0, ev.ProcessJoined(role="rank")),
                (101, 1, ev.ProcessJoined(role="rank")),
                *bodies,
            ]
        )
    )
    found = memory_death(state, "failed", 1, OWN)
    assert found is not None
    assert "in optimizer, step 4" in found.summary


@pytest.mark.parametrize(
    ("rise", "system", "rule", "words"),
    [
        (NONE, "linux", KILLED, "by somebody, not by the kernel for memory"),
        (Rise(), "linux", KILLED, "by whom cannot be told"),
        (Rise(), "darwin", DEATH, "possibly by macOS for memory (jetsam)"),
    ],
)
def test_signal_9_and_no_counter(
    rise: Rise, system: str, rule: str, words: str
) -> None:
    found = memory_death(training(), "killed", 137, rise, system)
    assert found is not None
    assert found.rule == rule
    assert found.summary.startswith("killed in optimizer, step 1")
    assert words in found.summary
    if system == "darwin":
        assert "log show --last" in found.do


FORECAST = ev.Forecast(
    "optimizer",
    1,
    needs=10 * GIB,
    headroom=6 * GIB,
    limit=24 * GIB,
    limit_by="cgroup",
    fits=False,
    held=18 * GIB,
    alternative="fused=True",
    alternative_needs=5 * GIB,
)


def test_what_was_forecast_is_what_was_needed() -> None:
    found = memory_death(training(FORECAST), "killed", 137, OWN)
    assert found is not None
    assert (
        found.summary
        == "killed in optimizer, step 1: needed 30.1, limit 25.8 GB (cgroup)"
    )
    assert (
        "forecast: optimizer.step of step 1 will need 10.7 GB, 6.44 GB left of 25.8 GB "
        "(cgroup)" in found.evidence
    )
    assert found.do.startswith("fused=True would fit: it needs 5.37 GB. ")


def test_a_forecast_of_another_step_or_survived_is_not_taken() -> None:
    other = replace(FORECAST, step=2)
    survived = ev.ForecastMet("optimizer", 1, needs=10 * GIB, got=10 * GIB)
    for bodies in ((other,), (FORECAST, survived)):
        found = memory_death(training(*bodies), "killed", 137, OWN)
        assert found is not None
        assert "needed" not in found.summary


def test_a_forecast_that_fits_explains_no_kill() -> None:
    fine = replace(FORECAST, needs=GIB, held=GIB, fits=True)
    found = memory_death(training(fine), "killed", 137, OWN)
    assert found is not None
    assert "needed" not in found.summary
    assert found.evidence[-1].startswith("forecast: ")


def test_a_message_that_says_more_than_the_forecast_stands() -> None:
    small = replace(FORECAST, needs=GIB, held=GIB, fits=True)
    message = ev.ExceptionRaised("OutOfMemoryError", CUDA, phase="optimizer", step=0)
    found = memory_death(training(small, message), "failed", 1, NONE)
    assert found is not None
    assert "needed at least 27.3, limit 25.3 GB" in found.summary
    found = memory_death(training(FORECAST, message), "failed", 1, NONE)
    assert found is not None
    assert "needed 30.1, limit 25.8 GB (cgroup)" in found.summary


def test_an_address_space_that_was_too_small_is_named() -> None:
    text = "MemoryError: "
    lines = ev.MemorySampled("cpu", rss=GIB, lines={"RLIMIT_AS": 6 * GIB})
    error = ev.ExceptionRaised("MemoryError", text, phase="load", step=0)
    found = memory_death(training(lines, error, phase="load"), "failed", 1, NONE)
    assert found is not None
    assert (
        found.summary == "CPU out of memory in load: the limit is 6.44 GB (RLIMIT_AS)"
    )


def test_other_signals_are_no_matter_of_memory() -> None:
    assert memory_death(training(), "killed", 143, NONE) is None
    assert memory_death(training(), "lost", None, OWN) is None


def test_the_headline_of_the_end_says_it() -> None:
    found = memory_death(died(CUDA, "optimizer"), "failed", 1, NONE)
    assert found is not None
    message = ev.ExceptionRaised("OutOfMemoryError", CUDA, phase="optimizer", step=0)
    state = training(message, found, ev.RunEnded("failed", 1))
    verdict = judge(state, 1020.0)
    assert verdict.state == "failed"
    assert verdict.kind == "resource"
    assert verdict.facts[1] == found.summary
