"""Each cause is said where its evidence is, and not a bit earlier or elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from support.signals import PID, T0, Run
from trainwatch.probes import events as ev
from trainwatch.runner.causes.device import waited_for

WORKER = 200
OURS = {"timed poll": 1}
"""The probes' own thread."""


def said(run: Run, at: float) -> tuple[str, str | None]:
    verdict = run.at(at)
    return verdict.state, verdict.kind


def test_a_prompt_waits_for_the_keyboard_and_shows_its_text() -> None:
    run = Run().signals(2, wait="keyboard", call="read", prompt="Enter your choice: ")
    verdict = run.at(4)
    assert (verdict.state, verdict.kind) == ("waiting", "shell")
    assert verdict.facts[0] == "for your keyboard: Enter your choice:"
    assert verdict.evidence_status == "established"
    assert verdict.do
    assert run.at(2.5).state == "working"


def test_progress_beats_a_prompt_that_was_there_before() -> None:
    run = Run().signals(2, wait="keyboard", call="read", prompt="> ")
    run.step(13, 5, 2.0)
    assert run.at(9).state == "working"


def test_signals_of_a_supervisor_that_is_gone_are_not_believed() -> None:
    run = Run().signals(2, wait="keyboard", call="read")
    assert run.at(31).state == "waiting"
    assert run.at(33).state == "slow"


def test_a_prompt_of_a_process_below_it() -> None:
    run = Run().signals(2, wait="child", children=[WORKER])
    run.signals(2, WORKER, parent=PID, name="wandb", wait="keyboard", prompt="Token: ")
    assert "wandb 200 reads" in run.at(5).facts[1]


def test_a_stopped_worker_is_named_with_what_helps() -> None:
    run = Run().signals(2, wait="child", children=[WORKER])
    run.signals(2, WORKER, parent=PID, status="T", wait="stopped")
    verdict = run.at(5)
    assert (verdict.state, verdict.kind) == ("waiting", "shell")
    assert "worker 200 is stopped" in verdict.facts[0]
    assert verdict.do == "kill -CONT 200"


def test_a_lock_has_its_path_holder_and_age() -> None:
    run = Run("load").signals(
        2,
        wait="file lock",
        call="flock",
        target="/cache/model.lock",
        holder=77,
        holder_name="python",
    )
    verdict = run.at(12)
    assert (verdict.state, verdict.kind) == ("waiting", "io")
    assert verdict.facts == (
        "for the lock /cache/model.lock, 10 s by now",
        "held by python 77",
    )


def test_a_silent_peer_is_waited_for() -> None:
    run = Run("data").signals(
        3, wait="socket", call="recvfrom", target="tcp 10.0.0.7:443"
    )
    assert run.at(9).state == "working"
    verdict = run.at(12)
    assert (verdict.state, verdict.kind) == ("waiting", "io")
    assert "tcp 10.0.0.7:443: no byte for 12 s" in verdict.facts[0]


def test_all_threads_in_locks_are_stuck_our_own_left_out() -> None:
    run = Run("data").signals(3, wait="lock", call="futex", threads={**OURS, "lock": 2})
    assert run.at(7).state == "working"
    verdict = run.at(9)
    assert (verdict.state, verdict.kind) == ("stuck", "deadlock")
    assert verdict.facts == (
        "no progress for 9.0 s in data, CPU 0",
        "rank 0: all 3 threads wait for locks, nobody is left to let go",
    )


@pytest.mark.parametrize(
    "threads",
    [
        {"timed poll": 2},
        {**OURS, "timed lock": 1},
        {**OURS, "socket": 1},
        {**OURS, "poll": 1},
        {**OURS, "running": 1},
        {**OURS, "sleep": 1},
    ],
)
def test_a_thread_that_may_go_on_forbids_stuck(threads: dict[str, int]) -> None:
    run = Run("data").signals(3, wait="lock", call="futex", threads=threads)
    run.signals(20, wait="lock", call="futex", threads=threads)
    assert run.at(25).state in ("working", "slow")


def test_a_fork_with_a_held_lock() -> None:
    run = Run("data").signals(3, wait="child", threads=OURS, children=[WORKER])
    run.signals(3, WORKER, parent=PID, wait="lock", call="futex")
    verdict = run.at(9)
    assert (verdict.state, verdict.kind) == ("stuck", "deadlock")
    assert "worker 200 has one thread" in verdict.facts[1]


def test_a_dead_worker_whose_parent_waits() -> None:
    facts: dict[str, Any] = {"wait": "timed poll", "children": [WORKER]}
    run = Run().signals(3, **facts, ended=1)
    run.signals(3, WORKER, parent=PID, status="Z", wait="dead")
    verdict = run.at(10)
    assert (verdict.state, verdict.kind) == ("stuck", "deadlock")
    assert "worker 200 is dead" in verdict.facts[1]
    other = Run().signals(3, **facts)
    other.signals(3, WORKER, parent=PID, name="git", status="Z", wait="dead")
    assert other.at(20).state == "working"


@pytest.mark.parametrize("wait", ["socket", "sleep", "running", "file"])
def test_a_process_below_it_that_may_go_on_forbids_it(wait: str) -> None:
    facts: dict[str, Any] = {"name": "aws", "wait": wait, "left_s": 1.0}
    run = Run("data").signals(3, wait="child", ended=2, children=[WORKER])
    run.signals(3, WORKER, parent=PID, **facts)
    assert run.at(9.5).state != "stuck"


def test_a_program_that_serves_may_have_nothing_to_do() -> None:
    run = Run("data")
    run.events = run.events[:2]
    run.say(-59, ev.ProcessJoined())
    waits: dict[str, Any] = {"wait": "lock", "threads": {**OURS, "accept": 1}}
    for at in range(0, 1000, 20):
        run.signals(at, **waits)
    assert {run.at(at).state for at in range(20, 1000, 100)} <= {"starting", "slow"}


def test_processes_that_all_wait_for_each_other() -> None:
    run = Run("data").signals(
        3, wait="lock", threads={**OURS, "pipe": 2, "lock": 1}, children=[WORKER, 201]
    )
    run.signals(3, WORKER, parent=PID, wait="pipe", holder=PID)
    run.signals(3, 201, parent=PID, wait="shared lock")
    assert said(run, 9) == ("stuck", "deadlock")


def test_a_pipe_from_outside_may_still_bring_something() -> None:
    run = Run("data").signals(3, wait="child", threads=OURS, children=[WORKER])
    run.signals(3, WORKER, parent=PID, wait="pipe", holder=4711)
    assert run.at(15).state == "working"


def test_a_full_pipe_that_its_own_parent_should_read() -> None:
    run = Run("data").signals(3, wait="child", threads=OURS, children=[WORKER])
    run.signals(3, WORKER, parent=PID, wait="pipe full", holder=PID)
    assert said(run, 9) == ("stuck", "deadlock")


def test_a_full_pipe_whose_reader_is_another_program() -> None:
    run = Run("log").signals(3, wait="pipe full", holder=4711, holder_name="less")
    verdict = run.at(9)
    assert (verdict.state, verdict.kind) == ("waiting", "io")
    assert verdict.facts[0].startswith("for less to read")


def test_a_short_sleep_is_never_stuck_a_sleep_of_days_in_a_step_is() -> None:
    short = Run().signals(590, wait="sleep", left_s=20.0, threads=OURS)
    assert short.at(600).state == "slow"
    long = Run().signals(3, wait="sleep", left_s=900_000.0, threads=OURS)
    verdict = long.at(9)
    assert (verdict.state, verdict.kind) == ("stuck", "data")
    assert "asleep by its own call for another 10 d 10 h" in verdict.facts[1]


def test_without_a_cause_only_a_long_idleness_is_called_stuck() -> None:
    facts: dict[str, Any] = {"wait": "poll", "call": "epoll_wait", "threads": OURS}
    run = Run("data").signals(3, **facts).signals(230, **facts)
    assert run.at(235).state == "slow"
    verdict = run.signals(255, **facts).at(260)
    assert verdict.state == "stuck"
    assert verdict.evidence_status == "possible"
    assert verdict.facts[0] == "no progress for 4 min 20 s in data, CPU 0"
    assert "why is not shown" in verdict.facts[1]


def test_a_phase_that_is_usually_slow_has_its_own_patience() -> None:
    run = Run("data")
    for _ in range(3):
        run.say(-1, ev.PhaseEnded("data", 100.0))
    run.say(0, ev.PhaseObserved(PID, "data", T0, step=12))
    run.signals(100, wait="lock", threads=OURS)
    assert run.at(120).state == "working"
    run.signals(295, wait="lock", threads=OURS)
    assert run.at(305).state == "stuck"


def test_where_a_device_may_be_waited_for_idleness_proves_nothing() -> None:
    for facts in (
        {"wait": "lock", "threads": OURS},
        {"wait": "poll", "threads": OURS, "ended": 1},
        {"wait": "lock", "threads": OURS, "children": [WORKER]},
    ):
        run = Run("backward", "cuda:0").signals(3, **facts)
        run.signals(3, WORKER, parent=PID, status="Z", wait="dead")
        assert run.at(12).state == "working"
        run.signals(395, **facts)
        verdict = run.at(400)
        assert (verdict.state, verdict.evidence_status) == ("slow", "possible")
        assert "device" in verdict.facts[1]


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({}, "it may wait for the device; a long kernel and a hung one look alike"),
        (
            {"0 busy": 2, "0 watts": 80, "1 busy": 99, "1 watts": 310},
            "card 1 is 99 % busy at 310 W; a long kernel and a hung one look alike",
        ),
        ({"0 used": 5, "0 busy": 3}, "card 0 is 3 % busy; a long kernel"),
        ({"0 busy": 0}, "it may wait for the device, but no card computes"),
    ],
)
def test_what_the_cards_say_to_it(cards: dict[str, int], said: str) -> None:
    assert waited_for(cards).startswith(said)


def test_a_device_that_is_open_counts_where_no_model_was_seen() -> None:
    run = Run("start").signals(3, wait="lock", threads=OURS, device="/dev/nvidiactl")
    assert run.at(20).state == "working"
    plain = Run("start").signals(3, wait="lock", threads=OURS)
    assert plain.at(20).state == "stuck"


def test_a_dead_worker_in_fetch_counts_on_a_device_too() -> None:
    facts: dict[str, Any] = {"wait": "timed poll", "children": [WORKER], "ended": 1}
    run = Run("fetch", "cuda:0").signals(3, **facts)
    run.signals(3, WORKER, parent=PID, status="Z", wait="dead")
    assert said(run, 10) == ("stuck", "deadlock")


def test_busy_without_progress_is_called_that() -> None:
    run = Run("data").signals(3, wait="running", cpu=100.0, idle_since=None)
    run.signals(35, wait="running", cpu=100.0, idle_since=None)
    verdict = run.at(36)
    assert (verdict.state, verdict.evidence_status) == ("slow", "possible")
    assert "busy, 1.0 cores" in verdict.facts[1]
    assert run.at(29).state == "working"


def test_a_busy_machine_does_not_make_it_look_idle() -> None:
    run = Run("data").signals(35, cpu=8.0, queued=70.0, idle_since=None)
    assert "70 % of the time without a core" in run.at(36).facts[1]


def test_what_prints_is_not_called_slow() -> None:
    run = Run("data").signals(35, cpu=100.0, idle_since=None, printed=T0 + 30)
    assert run.at(36).state == "working"


def test_compilers_are_waited_for() -> None:
    run = Run("data").signals(
        3, wait="child", idle_since=None, cpu=0.0, names={"ninja": 1, "cc1plus": 2}
    )
    verdict = run.at(8)
    assert verdict.state == "waiting"
    assert "cc1plus, ninja" in verdict.facts[0]


def test_steps_that_grew_name_the_phase_that_carries_it() -> None:
    run = Run()
    run.step(13, 6, 8.4, fetch=6.6, forward=0.8, backward=1.0)
    assert run.at(7).state == "working"
    run.step(14, 15, 8.4, fetch=6.6, forward=0.8, backward=1.0)
    verdict = run.at(16)
    assert (verdict.state, verdict.kind) == ("slow", "data")
    assert verdict.facts == (
        "a step takes 8.4 s, 4.2 times the usual 2.0 s",
        "fetch grew from 0.2 s to 6.6 s a step",
    )


def test_one_slow_step_is_none() -> None:
    run = Run().step(13, 60, 60.0).step(14, 62, 2.0)
    assert run.at(63).state == "working"


def test_slow_steps_in_a_busy_machine_are_its_fault_only_where_it_computes() -> None:
    for cpu, kind in ((90.0, "resource"), (1.0, "slow")):
        run = Run()
        for step in (13, 14, 15):
            run.step(step, 8 * (step - 12), 8.4, forward=7.0, backward=1.4)
        run.say(24, ev.HostSampled(cpu=cpu, cpu_host=100.0, cores=2))
        assert said(run, 25) == ("slow", kind)


def test_swapping_is_slow_and_will_not_recover_where_steps_suffer() -> None:
    host = ev.HostSampled(swap_in_per_s=9e7, cpu=30.0, cpu_host=40.0, cores=8)
    assert Run().say(1, host).at(2).state == "working"
    run = Run().step(13, 20, 20.0).step(14, 40, 20.0).say(40, host)
    verdict = run.at(41)
    assert (verdict.state, verdict.kind) == ("slow", "resource")
    assert "will not recover" in verdict.facts[0]
    assert verdict.facts[1] == (
        "90 MB/s come in from swap; a step takes 20 s, usual 2.0 s"
    )


def finding(rule: str, summary: str, kind: str = "numeric") -> ev.FindingRaised:
    return ev.FindingRaised(rule, "serious", kind, summary, ["in 5 logs"], "stop")


def test_what_the_metrics_show_is_the_headline_until_it_clears() -> None:
    nan = finding("metrics.gradient-not-finite", "grad_norm is nan since step 8,280")
    run = Run().say(1, nan)
    verdict = run.at(2)
    assert (verdict.state, verdict.kind) == ("failing", "numeric")
    assert verdict.facts == ("grad_norm is nan since step 8,280", "in 5 logs")
    run.say(3, ev.FindingCleared("metrics.gradient-not-finite", "over"))
    assert run.at(4).state == "working"


def test_one_zero_beside_a_nan_is_not_failing() -> None:
    run = Run().say(1, finding("metrics.loss-zero", "the loss is exactly 0", "data"))
    assert said(run, 2) == ("failing", "data")
    run.say(1, ev.MetricsLogged(12, values={"grad_norm": float("nan")}))
    assert run.at(2).state == "working"


# --- ranks ---


def two_ranks(second: str, wait: str, **facts: Any) -> Run:
    run = Run("step")
    run.say(-50, ev.ProcessJoined(role="rank"), 101, 1)
    run.say(0, ev.PhaseObserved(101, second, T0, step=12), 101, 1)
    run.signals(3, wait="timed lock", call="futex", threads=OURS)
    return run.signals(3, 101, wait=wait, call=wait, threads=OURS, **facts)


def test_ranks_that_all_wait_are_named_the_odd_one_first() -> None:
    run = two_ranks("evaluate", "lock")
    assert run.at(12).state == "working"
    verdict = run.at(20)
    assert (verdict.state, verdict.kind) == ("stuck", "distributed")
    assert verdict.facts[1].startswith("rank 1 in evaluate, step 12 (lock); rank 0")


def test_a_rank_that_may_go_on_forbids_it() -> None:
    assert two_ranks("data", "socket").at(20).state != "stuck"
    assert two_ranks("data", "sleep", left_s=5.0).at(20).state != "stuck"


def test_a_rank_that_works_is_waited_for() -> None:
    run = two_ranks("evaluate", "running", idle_since=None, cpu=99.0)
    run.signals(18, wait="timed lock", threads=OURS)
    run.signals(18, 101, wait="running", idle_since=None, cpu=99.0)
    verdict = run.at(20)
    assert (verdict.state, verdict.kind) == ("waiting", "distributed")
    assert "rank 1" in verdict.facts[0]


def test_a_rank_that_is_gone() -> None:
    run = two_ranks("step", "lock").say(1, ev.ProcessLeft("hang-up"), 101, 1)
    verdict = run.at(10)
    assert (verdict.state, verdict.kind) == ("stuck", "distributed")
    assert verdict.facts[0].startswith("rank 1 ended without a goodbye 9.0 s ago")


# --- it stays what it is ---


@pytest.mark.parametrize(
    "facts",
    [
        {"wait": "keyboard", "call": "read"},
        {"wait": "file lock", "call": "flock", "target": "/x"},
        {"wait": "lock", "call": "futex", "threads": OURS},
        {"wait": "socket", "call": "recvfrom"},
        {"wait": "running", "cpu": 100.0, "idle_since": None},
    ],
)
def test_a_verdict_does_not_change_while_nothing_does(facts: dict[str, Any]) -> None:
    run = Run("data")
    for at in range(3, 200, 10):
        run.signals(at, **facts)
    states = [said(run, at) for at in range(40, 200, 5)]
    assert len(set(states)) == 1, set(states)
