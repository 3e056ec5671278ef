"""The live ledger: counted once, folded, told seldom, bounded."""

from __future__ import annotations

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.state import Process, RunState
from trainwatch.runner.triage.book import EVERY_S, HOLD_S, MAX_FAMILIES, Book

FLAGS = "The following generation flags are not valid and may be ignored: ['top_p']."
ODD = "a thing nobody knows"
FIT = "None of the inputs have requires_grad=True. Gradients will be None"


def warned(text: str, step: int | None = None, count: int = 1) -> ev.WarningRaised:
    return ev.WarningRaised(
        source="warnings", text=text, category="UserWarning", step=step, count=count
    )


def newest(told: list[ev.WarningTriaged]) -> dict[str, ev.WarningTriaged]:
    return {event.key: event for event in told}


@pytest.mark.parametrize(
    "console",
    [
        f"{ODD}\n",
        f"/a/b.py:12: UserWarning: {ODD}\n  warnings.warn(\n",
        f"[mylib] {ODD}\n",
        f"\x1b[33m2024-01-01 10:00:00,123 - mylib - WARNING - {ODD}\x1b[0m\n",
    ],
)
@pytest.mark.parametrize("first", ["probe", "console"])
def test_the_same_saying_counts_once(console: str, first: str) -> None:
    book = Book()
    if first == "probe":
        book.from_probe(warned(ODD), 10.0, None)
        book.from_console(console, 10.2)
    else:
        book.from_console(console, 10.0)
        assert book.due(10.1) == []
        book.from_probe(warned(ODD), 10.2, None)
    told = [*book.due(10.5), *book.due(12.0), *book.flush(13.0)]
    assert [(event.count, event.source) for event in told] == [(1, "warnings")]


def test_late_probe_takes_over_from_the_console() -> None:
    book = Book()
    book.from_console(f"WARNING:root:{ODD}\n" * 3, 10.0)
    book.due(11.0)
    assert [event.count for event in book.due(12.0 + HOLD_S)] == [3]
    book.from_probe(warned(ODD, count=3), 14.0, None)
    assert [event.count for event in book.flush(15.0)] == [3]


def test_the_console_alone_counts_without_probes() -> None:
    book = Book()
    book.from_console(f"x\nWARNING:root:{ODD}\nWARNING:root:{ODD}\n", 10.0, "load", 0)
    assert book.due(10.6) == []
    (event,) = book.flush(12.0)
    assert (event.count, event.phase, event.source) == (2, "load", "console")
    assert event.severity == "unclassified"


def test_each_rank_reports_its_own() -> None:
    book = Book()
    for rank in range(4):
        book.from_probe(warned(FLAGS, step=rank), 10.0 + rank / 10, rank)
        book.from_console(f"[rank{rank}]: {FLAGS}\n", 10.0 + rank / 10)
    (event,) = book.flush(12.0)
    assert (event.count, event.ranks) == (4, [0, 1, 2, 3])
    assert (event.first_step, event.last_step) == (0, 3)
    assert (event.rule, event.severity) == ("generation.flags-ignored", "harmless")


def test_ranks_of_the_console_are_named_without_probes() -> None:
    book = Book()
    book.from_console("".join(f"[rank{n}]: {FLAGS}\n" for n in (0, 5)), 10.0)
    (event,) = book.flush(12.0)
    assert event.ranks == [0, 5]


def test_a_family_is_told_at_most_once_a_second() -> None:
    book = Book()
    told = []
    for tick in range(50):
        now = 10.0 + tick / 10
        book.from_probe(warned(FLAGS, step=tick), now, 0)
        told += book.due(now)
    assert len(told) <= 1 + 5 / EVERY_S
    told += book.flush(16.0)
    assert told[0].count == 1
    assert told[-1].count == 50
    assert told[-1].last_step == 49
    assert book.flush(17.0) == []


def test_exception_and_its_traceback_count_once() -> None:
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n    f()\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1 GiB\n"
    )
    event = ev.ExceptionRaised(
        kind="OutOfMemoryError",
        message="CUDA out of memory. Tried to allocate 1 GiB",
        traceback=traceback,
        phase="backward",
        step=3,
    )
    book = Book()
    book.from_console("[rank0]: " + traceback.replace("\n", "\n[rank0]: ", 3), 10.0)
    book.from_probe_exception(event, 10.3, 0)
    (told,) = book.flush(12.0)
    assert (told.rule, told.count, told.phase) == ("memory.device", 1, "backward")


def test_exception_without_traceback() -> None:
    book = Book()
    book.from_probe_exception(
        ev.ExceptionRaised(kind="KeyError", message="'text'"), 1, 0
    )
    (told,) = book.flush(2.0)
    assert (told.rule, told.severity) == ("data.columns", "serious")


def test_a_record_is_kept_open_while_the_console_goes_on() -> None:
    book = Book()
    for number, line in enumerate(
        ("Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()")
    ):
        book.from_console(line + "\n", 10.0 + number / 5)
        assert book.due(10.1 + number / 5) == []
    book.from_console("KeyError: 'x'\n", 10.6)
    told = [*book.due(11.2), *book.due(12.4)]
    assert [event.text for event in told] == ["KeyError: 'x'"]


def test_severity_follows_the_run() -> None:
    def run(norm: float) -> RunState:
        process = Process(pid=1, role="rank", rank=0, metrics={"grad_norm": norm})
        return RunState(processes={1: process})

    book = Book()
    book.from_probe(warned(FIT), 10.0, 0)
    (event,) = book.due(10.0)
    assert event.severity == "attention"
    assert book.rejudge(RunState(), 11.0) == []
    (event,) = book.rejudge(run(0.0), 12.0)
    assert event.severity == "serious"
    assert "grad_norm" in event.evidence
    assert book.rejudge(run(0.0), 13.0) == []
    (event,) = book.rejudge(run(1.3), 14.0)
    assert event.severity == "harmless"
    book.from_probe(warned(FIT), 15.0, 0)
    (event,) = book.due(16.0)
    assert (event.severity, event.count) == ("harmless", 2)


def test_context_reaches_the_rules() -> None:
    said = "Detected call of `lr_scheduler.step()` before `optimizer.step()`."
    for precision, severity in (("fp16", "harmless"), ("fp32", "attention")):
        book = Book(context={"precision": precision})
        book.from_probe(warned(said), 1.0, None)
        assert [event.severity for event in book.flush(2.0)] == [severity]


def test_families_are_bounded() -> None:
    book = Book()
    count = MAX_FAMILIES + 500
    for number in range(count):
        word = "".join(chr(97 + (number // 26**i) % 26) for i in range(4))
        book.from_probe(warned(f"odd {word}"), 1.0, 0)
    told = newest(book.flush(2.0))
    assert len(told) == MAX_FAMILIES + 1
    assert told["more"].count == 500
    assert sum(event.count for event in told.values()) == count


def test_events_can_be_written() -> None:
    book = Book()
    book.from_probe(warned("odd \ud800 \x1b[31m [bold]"), 1.0, None)
    (event,) = book.flush(2.0)
    assert ev.decode(ev.encode(ev.of(event, time=2.0))).body == event
