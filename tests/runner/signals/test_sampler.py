"""What is told of many looks: little, and soon enough."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.signals.look import Look
from trainwatch.runner.signals.proc import Traffic
from trainwatch.runner.signals.sampler import Sampler
from trainwatch.runner.signals.trace import Trace, add, rates, settled
from trainwatch.runner.signals.waits import Wait
from trainwatch.runner.state import RunState

PID = 7
WALL = 1_000_000.0


@dataclass
class Alive:
    """What the sampler asks of a psutil process."""

    pid: int


def state(progressed: float = 0.0) -> RunState:
    return fold_all(
        [
            ev.of(ev.RunStarted("id", "train"), time=WALL - 100),
            ev.of(ev.ChildSpawned(PID), time=WALL - 100),
            ev.of(ev.ProcessJoined(), time=WALL + progressed, pid=PID),
        ]
    )


def play(made: Any, seconds: range, known: RunState, *more: int) -> list[Any]:
    """What is told in each of `seconds`."""
    sampler = Sampler(made.root)
    return [
        sampler.sample(
            float(second),
            WALL + second,
            known,
            PID,
            [Alive(PID), *(Alive(pid) for pid in more)],  # type: ignore[list-item]
        )
        for second in seconds
    ]


def test_a_run_with_progress_is_not_told_of(made: Any) -> None:
    made.process(PID)
    assert not any(play(made, range(2), state(1.0)))


def test_an_idle_run_is_told_at_once_and_then_every_ten_seconds(made: Any) -> None:
    made.process(PID)
    made.call(PID, 202, 0x55, 0x189)
    told = play(made, range(60), state(-10.0))
    when = [second for second, bodies in enumerate(told) if bodies]
    assert when[:2] == [0, 2]
    assert all(10 <= b - a <= 11 for a, b in itertools.pairwise(when[1:]))
    body = told[when[-1]][0]
    assert (body.wait, body.idle_since, body.cpu) == ("lock", WALL, 0.0)


def test_a_change_is_told_soon(made: Any) -> None:
    made.process(PID)
    made.call(PID, 202, 0x55, 0x189)
    sampler = Sampler(made.root)
    known = state(-10.0)
    tree: Any = [Alive(PID)]
    for second in range(20):
        sampler.sample(float(second), WALL + second, known, PID, tree)
    made.fd(PID, 0, "/dev/pts/3")
    made.call(PID, 0, 0)
    sampler.hear("step 1\nEnter your \x1b[1mchoice: ", WALL + 20)
    (body,) = sampler.sample(20.0, WALL + 20, known, PID, tree)
    assert (body.wait, body.prompt) == ("keyboard", "Enter your choice: ")
    assert body.printed == WALL + 20


def test_a_device_that_is_open_is_told(made: Any) -> None:
    made.process(PID)
    made.fd(PID, 5, "/dev/nvidia0")
    assert play(made, range(1), state(-10.0))[0][0].device == "/dev/nvidia0"


def test_a_fault_of_ours_ends_the_sampling_and_is_said(made: Any, capsys: Any) -> None:
    made.process(PID)
    sampler = Sampler(made.root)

    def odd(pid: int) -> float:
        raise ValueError("what nobody foresaw")

    for second in range(3):
        tree: Any = [Alive(PID)]
        at = float(second)
        assert sampler.sample(at, WALL + at, state(-10.0), PID, tree, odd) == []
    assert capsys.readouterr().err.count("not sampled any more") == 1


def test_what_is_below_it_is_told_with_it(made: Any) -> None:
    made.process(PID, cmdline="python\0train.py\0")
    made.process(8, parent=PID, cmdline="python\0train.py\0")
    made.process(9, parent=8, name="nvcc", cmdline="nvcc\0")
    told = play(made, range(1), state(-10.0), 8, 9)[0]
    assert [body.of for body in told] == [PID, 8, 9]
    assert told[0].children == [8, 9]
    assert told[0].names == {"python": 1, "nvcc": 1}


def test_only_workers_that_end_are_counted(made: Any) -> None:
    made.process(PID, cmdline="python\0train.py\0")
    made.process(8, parent=PID, cmdline="python\0train.py\0")
    made.process(9, parent=PID, cmdline="git\0status\0")
    sampler = Sampler(made.root)
    known = state(-10.0)
    both: Any = [Alive(PID), Alive(8), Alive(9)]
    for second in range(3):
        sampler.sample(float(second), WALL + second, known, PID, both)
    told: list[ev.SignalsSampled] = []
    for second in range(3, 6):
        tree: Any = [Alive(PID), Alive(8)]
        told += sampler.sample(float(second), WALL + second, known, PID, tree)
    assert [body.ended for body in told] == [0]
    for second in range(6, 9):
        tree = [Alive(PID)]
        told += sampler.sample(float(second), WALL + second, known, PID, tree)
    assert told[-1].ended == 1
    assert told[-1].children == []


def looked(cpu: float, read: int = 0, started: float = 1.0, **more: Any) -> Look:
    traffic = Traffic(read, 0, 0, 0)
    return Look(PID, started=started, cpu_s=cpu, traffic=traffic, status="S", **more)


def trace(*looks: Look) -> Trace:
    found = Trace()
    for second, look in enumerate(looks):
        found = add(found, float(second), look)
    return found


def test_rates_are_over_the_last_seconds() -> None:
    now = rates(trace(*(looked(0.5 * second) for second in range(10))))
    assert now.cpu == 50.0
    assert rates(trace(looked(1.0))).cpu is None


def test_idle_is_since_it_last_did_anything() -> None:
    idle = [looked(3.0)] * 7
    assert trace(*idle).idle_since == 0.0
    assert trace(*idle, looked(3.5)).idle_since is None
    assert trace(*idle, looked(3.0, 10**7)).idle_since is None
    assert trace(looked(0.0), looked(0.9), *idle).idle_since is not None


def test_one_blip_does_not_undo_a_long_idleness() -> None:
    long = [looked(3.0)] * 12
    blip = [looked(3.5)] * 12
    assert trace(*long, looked(3.5)).idle_since == 0.0
    assert trace(*long, *blip).idle_since == 0.0
    assert trace(*long, *(looked(3.0 + 0.1 * n) for n in range(4))).idle_since == 0.0


def test_what_goes_on_or_comes_again_undoes_it() -> None:
    long = [looked(3.0)] * 12
    assert trace(*long, *(looked(3.0 + 0.1 * n) for n in range(8))).idle_since is None
    twice = trace(*long, *[looked(3.5)] * 12, looked(4.0))
    assert twice.idle_since is None
    assert trace(*long, *[looked(3.5)] * 70, looked(4.0)).idle_since == 0.0


def waiting(what: str, status: str = "S", **threads: int) -> Look:
    return replace(looked(3.0), wait=Wait(what, what), status=status, threads=threads)


def test_a_look_that_finds_an_idle_process_awake_says_what_it_waits_for() -> None:
    lock = waiting("lock", lock=3)
    awake = waiting("running", "R", lock=3)
    paging = waiting("lock", "D", lock=3)
    thread = waiting("lock", lock=2, running=1)
    for caught in (awake, paging, thread):
        assert settled(trace(*[lock] * 4, caught)) == lock
    assert settled(trace(*[lock] * 4, *[awake] * 3)) == awake
    assert settled(trace(lock, awake)) == awake


def test_one_that_got_what_it_waited_for_is_awake() -> None:
    awake = waiting("running", "R")
    assert settled(trace(*[waiting("keyboard")] * 4, awake)) == awake
    assert settled(trace(*[waiting("lock")] * 4, waiting("keyboard"))) == waiting(
        "keyboard"
    )


def test_a_page_that_is_read_once_is_no_work() -> None:
    lock, paging = waiting("lock"), waiting("disk", "D")
    assert trace(*[lock] * 9, paging, lock, paging, lock).idle_since == 0.0
    assert trace(*[lock] * 3, paging).idle_since is None
    assert trace(*[lock, paging] * 9).idle_since is None


def test_another_process_by_the_same_pid_begins_anew() -> None:
    assert len(trace(looked(1.0), looked(1.0), looked(0.0, started=5.0)).looks) == 1
