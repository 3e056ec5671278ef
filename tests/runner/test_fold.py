"""Events become state: counts, sums, medians, and nothing that was not said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner import memo
from trainwatch.runner.document import process_document
from trainwatch.runner.durations import RECENT, SERIES_POINTS, usual
from trainwatch.runner.fold import fold, fold_all
from trainwatch.runner.folds.metrics import LOGS
from trainwatch.runner.lines import describe
from trainwatch.runner.state import EMPTY, RunState
from trainwatch.runner.verdict import judge

PID = 100


def run(*bodies: ev.Body, start: float = 1000.0, every: float = 1.0) -> RunState:
    """The state after `bodies`, one every second."""
    return fold_all(
        ev.of(body, time=start + index * every, pid=PID, rank=0)
        for index, body in enumerate(bodies)
    )


def step(number: int, seconds: float = 2.0, **more: object) -> ev.StepEnded:
    phases = {"forward": [2, seconds * 0.4], "backward": [2, seconds * 0.6]}
    return ev.StepEnded(step=number, seconds=seconds, phases=phases, **more)  # type: ignore[arg-type]


BEGIN = (
    ev.RunStarted("id", "train", ["python", "train.py"], "/work"),
    ev.ChildSpawned(PID),
    ev.ProcessJoined(role="other"),
    ev.TrainingBegan("SFTTrainer", 0, 10, can_save=True, resumable=True),
)


def test_steps_add_up() -> None:
    process = run(*BEGIN, step(1), step(2), step(3)).lead
    assert process is not None
    assert (process.step, process.steps.count, process.steps.seconds) == (3, 3, 6.0)
    assert process.phases["forward"].count == 6
    assert process.phases["forward"].total_s == pytest.approx(2.4)
    assert process.phases["backward"].total_s == pytest.approx(3.6)


def test_the_first_step_is_not_usual() -> None:
    process = run(*BEGIN, step(1, 50.0), step(2), step(3)).lead
    assert process is not None
    assert usual(process.phases["step"]) == 2.0
    assert usual(process.phases["forward"]) == pytest.approx(0.4)


def test_fast_steps_come_in_bundles() -> None:
    process = run(*BEGIN, step(1), step(51, 1.0, count=50)).lead
    assert process is not None
    assert process.steps.count == 51
    assert process.steps.last_s == pytest.approx(0.02)


def timed(number: int, seconds: float = 2.0, **more: float) -> ev.DeviceTimed:
    phases = {"forward": seconds * 0.25, "backward": seconds * 0.75, **more}
    return ev.DeviceTimed(number, seconds, phases, number, 10 * number, "made-up clock")


def test_device_times_stand_beside_the_hosts() -> None:
    process = run(*BEGIN, step(1), step(2), timed(1), timed(2, 4.0)).lead
    assert process is not None
    assert process.device is not None
    assert (process.device.sampled, process.device.steps) == (2, 20)
    assert process.device.last_phases == {"forward": 1.0, "backward": 3.0}
    assert process.device.phases["step"].recent == (2.0, 4.0)
    assert process.device.phases["forward"].clock == "device"
    assert process.phases["forward"].clock == "host"
    assert process.steps.last_phases["forward"][1] == pytest.approx(0.8)
    shown = process_document(process, 1010.0, over=False)["device"]
    assert (shown["sampled"], shown["steps"], shown["last_step"]) == (2, 20, 2)
    assert shown["phases"]["backward"]["total_s"] == 4.5


def test_names_that_only_the_device_tells_are_bounded() -> None:
    own = {f"own {n}": 0.001 for n in range(500)}
    process = run(*BEGIN, step(1), timed(1, **own)).lead
    assert process is not None
    assert process.device is not None
    assert len(process.device.phases) < 150
    assert sum(process.device.last_phases.values()) == pytest.approx(2.5)


def test_without_a_sample_there_is_no_device() -> None:
    process = run(*BEGIN, step(1)).lead
    assert process is not None
    assert process.device is None
    assert process_document(process, 1010.0, over=False)["device"] is None


def test_a_phase_that_never_ran_has_no_usual_and_no_zero() -> None:
    assert usual(None) is None
    process = run(*BEGIN).lead
    assert process is not None
    assert process.memory.allocated is None
    assert process.phases == {}


def test_what_is_kept_is_bounded() -> None:
    metrics = [ev.MetricsLogged(n, None, {"loss": 1.0}) for n in range(3000)]
    state = run(*BEGIN, *(step(n) for n in range(1, 500)), *metrics)
    assert state.lead is not None
    assert len(state.lead.phases["step"].recent) == RECENT
    points = state.series["loss"]
    assert len(points) <= SERIES_POINTS
    assert points[0][0] == 0
    assert points[-1][0] == 2999
    recent = state.lead.recent["loss"]
    assert LOGS // 2 <= len(recent) <= LOGS
    assert recent[0] == (0, 1.0)
    newest = tuple((n, 1.0) for n in range(3000 - LOGS // 2, 3000))
    assert recent[-LOGS // 2 :] == newest
    again = fold_all([ev.of(ev.TrainingBegan(), time=9000.0, pid=PID)], state)
    assert again.lead is not None
    assert again.lead.recent == {}


def test_events_of_a_later_schema_change_nothing_but_are_counted() -> None:
    before = run(*BEGIN)
    after = fold_all([ev.Event("tomorrow", 5.0)], before)
    assert after.unknown_events == 1
    assert after.processes == before.processes


def test_a_live_generation_shows_its_tokens_before_it_ends() -> None:
    state = run(
        *BEGIN,
        ev.GenerationBegan(1, 57, 8192),
        ev.PhaseObserved(of=PID, phase="decode", since=1005.5, tokens=3),
    )
    assert state.lead is not None
    (generation,) = state.lead.generations
    assert (generation.done, generation.tokens) == (False, 3)
    assert generation.ttft_s == pytest.approx(1.5)
    state = fold_all(
        [ev.of(ev.GenerationEnded(1, 1.25, 40, 9.0, 5.0), time=1020.0, pid=PID)], state
    )
    assert state.lead is not None
    assert state.lead.generations[0].done
    assert state.lead.generations[0].ttft_s == 1.25


def test_a_process_that_joins_again_after_a_takeover_keeps_what_is_known() -> None:
    state = run(
        *BEGIN, step(1), ev.ProcessLeft("hang-up"), ev.ProcessJoined(role="other")
    )
    assert state.lead is not None
    assert (state.lead.role, state.lead.step, state.lead.left) == ("rank", 1, None)


def test_the_newest_count_of_a_warning_wins() -> None:
    one = ev.WarningTriaged(key="k", severity="cleanup", text="t", count=1)
    many = ev.WarningTriaged(key="k", severity="cleanup", text="t", count=40)
    noise = ev.WarningTriaged(key="n", severity="not_a_warning", text="Loading")
    state = run(*BEGIN, one, many, noise)
    assert [(w.key, w.count) for w in state.warnings.values()] == [("k", 40)]


def test_a_change_of_severity_is_dated_and_said() -> None:
    said = ev.WarningTriaged(key="k", severity="attention", text="t", why="w")
    more = replace(said, count=9)
    worse = replace(said, count=9, severity="serious", evidence="grad_norm is 0")
    state = run(*BEGIN)
    lines = []
    for seconds, body in enumerate((said, more, worse, replace(worse, count=10))):
        event = ev.of(body, time=5000.0 + seconds, pid=7)
        state = fold(state, event)
        line = describe(event, state)
        lines.append(line and line.partition(" ")[2])
    assert lines == [
        "warning, attention: t (w)",
        None,
        "warning, now serious: t (grad_norm is 0)",
        None,
    ]
    assert state.warnings["k"].changed == 5002.0


def test_peak_memory_knows_its_phase() -> None:
    state = run(
        *BEGIN,
        ev.MemorySampled(allocated=5, phase="forward"),
        ev.MemorySampled(allocated=9, phase="backward"),
        ev.MemorySampled(allocated=7, phase="optimizer"),
    )
    assert state.lead is not None
    memory = state.lead.memory
    assert (memory.allocated, memory.peak, memory.peak_phase) == (7, 9, "backward")


def test_the_kept_fold_is_the_fold(tmp_path) -> None:  # type: ignore[no-untyped-def]
    state = run(
        *BEGIN,
        step(1),
        step(2),
        ev.GenerationBegan(1, 5, 9),
        ev.MetricsLogged(2, 0.5, {"loss": math.inf}),
        ev.CheckpointSeen("/c/checkpoint-2", 2, 10, True, False, "why"),
        ev.CommandAsked("a", "abort", "step"),
        ev.HostSampled(cpu=3.0, cores=2),
        ev.WarningTriaged(key="k", text="t", ranks=[0, 1]),
        ev.FindingRaised("r", "serious", "numeric", "s", ["e"], "d"),
    )
    memo.save(tmp_path, state, 77)
    assert memo.load(tmp_path) == (state, 77)


def test_a_damaged_kept_fold_is_ignored(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for text in ("", "{", '{"version": 99}', '{"version": 1, "offset": 3}'):
        (tmp_path / memo.FILE).write_text(text)
        assert memo.load(tmp_path) == (EMPTY, 0)


# --- the headline ---


def test_before_the_first_step_it_is_starting() -> None:
    state = run(*BEGIN, ev.PhaseObserved(of=PID, phase="load", since=1001.0))
    verdict = judge(state, 1010.0)
    assert verdict.state == "starting"
    assert verdict.facts == ("load for 9.0 s", "SFTTrainer, no step has ended yet")


def test_progress_is_working_with_its_age() -> None:
    state = run(*BEGIN, step(1), step(2))
    verdict = judge(state, 1006.0)
    assert verdict.state == "working"
    assert verdict.facts == (
        "stepping, 2.0 s a step",
        "step 2 of 10 done, last one 1.0 s ago",
    )
    assert verdict.age_s == 1.0


def test_without_progress_it_does_not_claim_to_work_nor_to_be_stuck() -> None:
    state = run(*BEGIN, step(1), step(2))
    verdict = judge(state, 1005.0 + 600)
    assert verdict.state == "slow"
    assert verdict.evidence_status == "possible"
    assert "no progress for 10 min" in verdict.facts[0]


def test_a_slow_phase_that_is_always_slow_keeps_working() -> None:
    slow = [ev.PhaseEnded("save", 100.0) for _ in range(3)]
    state = run(
        *BEGIN, step(1), *slow, ev.PhaseObserved(of=PID, phase="save", since=1007.0)
    )
    assert judge(state, 1008.0 + 150).state == "working"


@pytest.mark.parametrize(
    ("ended", "state", "fact"),
    [
        (ev.RunEnded("finished", 0), "finished", "exit code 0"),
        (ev.RunEnded("failed", 1), "failed", "exit code 1"),
        (ev.RunEnded("killed", 137, 9), "killed", "ended by signal 9"),
        (ev.RunEnded("lost", None, None, "nobody saw"), "lost", "nobody saw"),
    ],
)
def test_an_ended_run_says_how(ended: ev.RunEnded, state: str, fact: str) -> None:
    verdict = judge(run(*BEGIN, step(1), ended), 2000.0)
    assert verdict.state == state
    assert fact in verdict.facts[0]
    assert verdict.facts[1]


def test_a_failed_run_names_its_exception() -> None:
    error = ev.ExceptionRaised("RuntimeError", "MPS backend out of memory\nmore")
    verdict = judge(run(*BEGIN, step(1), error, ev.RunEnded("failed", 1)), 2000.0)
    assert verdict.facts[1] == "RuntimeError: MPS backend out of memory"


def test_without_probes_it_says_what_it_cannot_see() -> None:
    state = fold_all(
        [
            ev.of(ev.RunStarted("i", "n", ["x"], "/", probes=False), time=0.0),
            ev.of(ev.ChildSpawned(5), time=0.0),
        ]
    )
    verdict = judge(state, 100.0)
    assert verdict.evidence_status == "possible"
    assert "--no-probes" in verdict.facts[1]
