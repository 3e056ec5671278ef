"""How far a long phase is: never more than its counter shows."""

from __future__ import annotations

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner import progress
from trainwatch.runner.document import process_document
from trainwatch.runner.fold import fold_all
from trainwatch.runner.state import PhaseNow, RunState
from trainwatch.runner.verdict import judge

PID = 7
BEGAN = 1000.0


def seen(*looks: tuple[float, ev.PhaseObserved]) -> RunState:
    """The state after `looks`, each at so many seconds into the phase."""
    log = [
        ev.of(ev.RunStarted("id", "train"), time=BEGAN - 10),
        ev.of(ev.ChildSpawned(PID), time=BEGAN - 10),
        ev.of(ev.ProcessJoined(), time=BEGAN - 9, pid=PID),
    ]
    log += [ev.of(body, time=BEGAN + after, pid=PID) for after, body in looks]
    return fold_all(log)


def phase_of(state: RunState) -> PhaseNow:
    assert state.lead is not None
    return state.lead.phase


def mapped(rows: int | None, since: float = BEGAN) -> ev.PhaseObserved:
    return ev.PhaseObserved(PID, "data", since, rows=rows, total=48_000, detail="Map")


def test_rows_have_a_speed_and_a_time_left() -> None:
    state = seen(*((second, mapped(3_000 * second)) for second in range(1, 5)))
    phase, now = phase_of(state), BEGAN + 4
    assert progress.per_s(phase, now) == 3_000
    assert progress.left_s(phase, now) == 12
    assert progress.left_s(phase, now + 1) == 11
    assert judge(state, now).facts == (
        "Map 12,000 of 48,000 rows, 12 s left",
        "3,000 rows/s, no step has ended yet",
    )


def test_after_one_look_nothing_is_said_of_the_speed() -> None:
    state = seen((1, mapped(3_000)))
    phase = phase_of(state)
    assert progress.per_s(phase, BEGAN + 1) is None
    assert progress.left_s(phase, BEGAN + 1) is None
    assert progress.words(phase, BEGAN + 1) == ["3,000 of 48,000 rows"]
    facts = judge(state, BEGAN + 1).facts
    assert facts[0] == "Map for 1.0 s, 3,000 of 48,000 rows"


def test_a_counter_that_rests_slows_the_pace_by_itself() -> None:
    phase = phase_of(seen(*((second, mapped(1_000 * second)) for second in (1, 2, 3))))
    assert progress.per_s(phase, BEGAN + 4) == 1_000
    assert progress.per_s(phase, BEGAN + 21) == pytest.approx(100)
    left = progress.left_s(phase, BEGAN + 21)
    assert left is not None
    assert left > 400


def test_rows_that_come_in_batches_keep_their_pace_between_two() -> None:
    looks = [(t, mapped(1_000 * (t // 5))) for t in range(5, 21)]
    phase = phase_of(seen(*looks))
    assert progress.per_s(phase, BEGAN + 20) == pytest.approx(200)
    assert progress.per_s(phase, BEGAN + 24) == pytest.approx(200)


def test_the_pace_is_of_the_last_movements_only() -> None:
    slow = [(second, mapped(second)) for second in range(1, 100)]
    fast = [(second, mapped(1_000 * (second - 99))) for second in range(100, 120)]
    phase = phase_of(seen(*slow, *fast))
    assert progress.per_s(phase, BEGAN + 119) == 1_000
    assert len(phase.marks) == progress.MARKS


def test_another_phase_begins_anew() -> None:
    phase = phase_of(seen((1, mapped(10)), (2, mapped(20)), (9, mapped(0, BEGAN + 8))))
    assert phase.marks == ((BEGAN + 9, 0),)


def test_without_a_counter_there_is_nothing_to_say() -> None:
    phase = phase_of(seen((1, mapped(None)), (2, mapped(None))))
    assert phase.marks == ()
    assert progress.words(phase, BEGAN + 2) == []


def saving(written: int, total: int | None = 1_000) -> ev.PhaseObserved:
    by = "checkpoint-4" if total else ""
    return ev.PhaseObserved(PID, "save", BEGAN, bytes=written, total=total, total_by=by)


def test_what_a_save_will_weigh_is_said_to_be_about_so_much() -> None:
    phase = phase_of(seen((1, saving(100)), (2, saving(200))))
    assert progress.words(phase, BEGAN + 2) == [
        "200 B of about 1 kB",
        "8.0 s left",
        "100 B/s",
    ]


def test_a_save_that_outgrows_what_was_expected_says_only_what_is_there() -> None:
    phase = phase_of(seen((1, saving(900)), (2, saving(1_100))))
    assert progress.words(phase, BEGAN + 2) == ["1.1 kB", "200 B/s"]


def test_a_save_of_unknown_weight_has_a_speed_but_no_end() -> None:
    phase = phase_of(seen((1, saving(100, None)), (2, saving(200, None))))
    assert progress.words(phase, BEGAN + 2) == ["200 B", "100 B/s"]


def test_a_cap_of_tokens_is_no_end() -> None:
    def decoding(tokens: int) -> ev.PhaseObserved:
        return ev.PhaseObserved(PID, "decode", BEGAN, tokens=tokens, total=256)

    phase = phase_of(seen((1, decoding(10)), (2, decoding(20))))
    assert progress.left_s(phase, BEGAN + 2) is None
    assert progress.words(phase, BEGAN + 2) == ["20 tokens"]


@pytest.mark.parametrize(
    ("name", "unit"), [("data", "rows"), ("evaluate", "batches"), ("load", "tensors")]
)
def test_each_phase_counts_its_own(name: str, unit: str) -> None:
    phase = PhaseNow(name=name, rows=3, total=9)
    assert progress.so_far(phase) == f"3 of 9 {unit}"


def test_the_document_has_the_numbers() -> None:
    state = seen((1, saving(100)), (2, saving(200)))
    assert state.lead is not None
    phase = process_document(state.lead, BEGAN + 2, over=False)["phase"]
    assert (phase["bytes"], phase["total"], phase["total_by"]) == (
        200,
        1_000,
        "checkpoint-4",
    )
    assert (phase["per_s"], phase["left_s"]) == (100, 8)
