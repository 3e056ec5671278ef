"""What the facts of generations come to."""

from __future__ import annotations

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.document import generated_document, generation_document
from trainwatch.runner.fold import fold_all
from trainwatch.runner.generation import left_s, slowing, speed
from trainwatch.runner.lines import describe
from trainwatch.runner.state import Generation, Process

PID = 7


def process(*bodies: ev.Body) -> Process:
    """The process after `bodies`, one a second from 1000 on; `mono` is 900 less."""
    events = [
        ev.of(body, time=1000.0 + n, mono=100.0 + n, pid=PID)
        for n, body in enumerate((ev.ProcessJoined(role="rank"), *bodies))
    ]
    return fold_all(events).processes[PID]


def ended(number: int, tokens: int, cap: int, **more: object) -> ev.GenerationEnded:
    return ev.GenerationEnded(
        number,
        0.1,
        tokens,
        1.0,
        hit_cap=tokens >= cap,
        max_new_tokens=cap,
        **more,  # type: ignore[arg-type]
    )


def test_a_generation_is_followed_while_it_runs() -> None:
    (now,) = process(
        ev.GenerationBegan(1, 57, 8_192, 1, began=100.5),
        ev.GenerationAdvanced(1, 11, 8_192, 0.5, 0.2, 0.05, use_cache=True),
    ).generations
    assert now.began == 1000.5
    assert (now.tokens, now.seen, now.done) == (11, 1002.0, False)
    assert speed(now) == pytest.approx(10 / (2 - 0.5 - 0.5))
    assert left_s(now) == pytest.approx((8_192 - 11) * 0.05)
    assert generation_document(now)["left_to_cap_s"] == pytest.approx(409.05)


def test_what_was_seen_before_is_not_taken_back() -> None:
    (now,) = process(
        ev.GenerationBegan(1, 57, 8_192),
        ev.GenerationAdvanced(1, 11, 8_192, 0.5),
        ev.PhaseObserved(PID, "decode", 1001.0, tokens=9, total=8_192),
    ).generations
    assert (now.tokens, now.ttft_s) == (11, 0.5)


def test_before_a_pace_is_told_the_mean_stands_for_it() -> None:
    (now,) = process(
        ev.GenerationBegan(1, 57, 100, began=101.0),
        ev.PhaseObserved(PID, "decode", 1001.5, tokens=6),
    ).generations
    assert now.inter_token_s is None
    assert left_s(now) == pytest.approx((100 - 6) * (1002 - 1001.5) / 5)


@pytest.mark.parametrize(
    ("tokens", "first", "second", "slow"),
    [
        (200, 0.1, 0.2, (0.1, 0.2)),
        (200, 0.1, 0.14, None),
        (200, 0.2, 0.1, None),
        (63, 0.1, 0.2, None),
        (200, None, None, None),
    ],
)
def test_it_slows_when_the_second_half_takes_half_as_long_again(
    tokens: int,
    first: float | None,
    second: float | None,
    slow: tuple[float, float] | None,
) -> None:
    now = Generation(
        tokens=tokens,
        max_new_tokens=tokens + 10,
        inter_token_s=0.15,
        inter_token_first_half_s=first,
        inter_token_second_half_s=second,
    )
    assert slowing(now) == slow
    assert left_s(now) == pytest.approx(2.0 if slow else 1.5)


def test_the_share_that_hits_the_cap_is_of_what_is_known() -> None:
    known = process(
        ended(1, 8, 8, rows=4, rows_at_cap=3),
        ended(2, 5, 8, rows=4, rows_at_cap=0),
        ended(3, 8, 8, rows=4),
        ev.GenerationEnded(4, tokens=2, failed=True, max_new_tokens=8),
        *(ended(n, 8, 8, rows=1, rows_at_cap=1) for n in range(5, 50)),
    ).generated
    assert (known.calls, known.failed, known.capped, known.at_cap) == (49, 1, 48, 47)
    document = generated_document(known)
    assert document["cap_share"] == pytest.approx(47 / 48)
    assert document["row_cap_share"] == pytest.approx((3 + 45) / (8 + 45))
    assert generated_document(process().generated)["cap_share"] is None


def test_an_error_keeps_what_was_known() -> None:
    (now,) = process(
        ev.GenerationBegan(1, 57, 100),
        ev.GenerationAdvanced(1, 11, 100, 0.5, 0.2, 0.05),
        ev.GenerationEnded(1, tokens=12, seconds=2.0, failed=True),
    ).generations
    assert (now.tokens, now.ttft_s, now.inter_token_s) == (12, 0.5, 0.05)
    assert (now.done, now.failed, now.hit_cap) == (True, True, None)
    assert left_s(now) is None


def test_the_line_of_a_generation() -> None:
    event = ev.of(
        ended(1, 8, 8, tokens_per_s=6.12, use_cache=False), time=1000.0, pid=PID
    )
    line = describe(event, fold_all([event]))
    assert line is not None
    assert line.endswith(
        "generate  first token 0.1 s, 8 of at most 8 tokens, 6.1 tok/s, hit the cap, "
        "without a cache"
    )
