from __future__ import annotations

from typing import Any

import pytest

from trainwatch.probes.commands import Requests


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def requests(told: list[Any]) -> Requests:
    return Requests(told.append)


def ask(requests: Requests, kind: str, id: str = "1", **fields: Any) -> None:  # noqa: A002
    requests.ask({"request": kind, "id": id, **fields})


def answers(told: list[Any]) -> list[tuple[str, str]]:
    return [(body.id, body.outcome) for body in told]


def test_before_and_after_training_a_request_is_refused_with_the_reason(
    requests: Requests, told: list[Any]
) -> None:
    ask(requests, "save")
    requests.open(0)
    requests.close("training ended at step 3")
    ask(requests, "stop", "2")
    assert answers(told) == [("1", "refused"), ("2", "refused")]
    assert told[0].detail == "no training has begun in this process"
    assert told[1].detail == "training ended at step 3"


def test_save_and_stop_are_due_at_the_next_step(
    requests: Requests, told: list[Any]
) -> None:
    requests.open(0)
    ask(requests, "save", "1", folder="/x")
    ask(requests, "stop", "2")
    due = requests.due(1)
    assert [(r.kind, r.folder) for r in due] == [("save", "/x"), ("stop", "")]
    assert requests.due(2) == ()
    assert told == []


def test_an_agreed_step_is_waited_for(requests: Requests, told: list[Any]) -> None:
    requests.open(3)
    ask(requests, "save", at_step=6)
    assert requests.due(4) == ()
    assert requests.due(5) == ()
    assert [r.id for r in requests.due(6)] == ["1"]
    assert told == []


def test_a_past_step_is_refused(requests: Requests, told: list[Any]) -> None:
    requests.open(3)
    ask(requests, "save", "1", at_step=3)
    ask(requests, "save", "2", at_step=5)
    assert requests.due(6) == ()
    assert answers(told) == [("1", "refused"), ("2", "refused")]
    assert told[1].detail == "step 5 is already past: step 6 is done"


def test_what_is_pending_at_the_end_is_not_left_open(
    requests: Requests, told: list[Any]
) -> None:
    requests.open(0)
    ask(requests, "save", at_step=9)
    requests.close("training ended at step 4")
    assert answers(told) == [("1", "refused")]
    requests.close("the process ended")
    assert len(told) == 1


def test_a_cancelled_request_is_not_due(requests: Requests, told: list[Any]) -> None:
    requests.open(0)
    ask(requests, "save", at_step=2)
    ask(requests, "cancel")
    assert requests.due(2) == ()
    assert told[0].detail == "cancelled"


def test_nonsense_is_refused_or_ignored(requests: Requests, told: list[Any]) -> None:
    requests.open(0)
    ask(requests, "explode")
    requests.ask({"request": "save", "id": 7})
    requests.ask({})
    assert requests.due(1) == ()
    assert answers(told) == [("1", "refused")]
