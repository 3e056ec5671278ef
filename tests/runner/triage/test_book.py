"""The live ledger: counted once, folded, told seldom, bounded."""

from __future__ import annotations

import pytest

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.state import Process, RunState, StepStat
from trainwatch.runner.triage.book import EVERY_S, HOLD_S, MAX_FAMILIES, Book, Told
from trainwatch.runner.triage.known import Known
from trainwatch.runner.triage.own import parse_own
from trainwatch.runner.triage.own_engine import engine

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
        recent = {"grad_norm": ((1, norm),)}
        process = Process(pid=1, role="rank", rank=0, recent=recent)
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


# --- evidence, findings, what is known, what is the user's ---


def trained(*norms: float, loss: float = 2.0, **more: object) -> RunState:
    recent = {
        "grad_norm": tuple(enumerate(norms, 1)),
        "loss": tuple((n, loss) for n in range(1, len(norms) + 1)),
    }
    metrics = {"grad_norm": norms[-1], "loss": loss} if norms else {}
    process = Process(
        pid=1,
        role="rank",
        rank=0,
        metrics=metrics,
        recent=recent,
        **more,  # type: ignore[arg-type]
    )
    return RunState(processes={1: process})


def triaged(told: list[Told]) -> dict[str, ev.WarningTriaged]:
    return {t.key: t for t in told if isinstance(t, ev.WarningTriaged)}


def test_the_change_says_what_it_was_and_by_what() -> None:
    book = Book()
    book.from_probe(warned(FIT), 10.0, 0)
    (event,) = book.due(10.0)
    assert (event.was, event.by) == ("", "")
    changed = triaged(book.rejudge(trained(0.0, 0.0), 11.0))[
        "numeric.no-gradient-input"
    ]
    assert (changed.severity, changed.was, changed.by) == (
        "serious",
        "attention",
        "evidence",
    )
    assert "last 2 of 2 logs" in changed.evidence


def test_evidence_without_a_change_is_told_once() -> None:
    book = Book()
    said = "The operator 'aten::x' is not currently supported on the MPS backend and "
    book.from_probe(warned(f"{said}will fall back to run on the CPU."), 10.0, 0)
    book.due(10.0)
    (event,) = book.rejudge(RunState(), 11.0)
    assert isinstance(event, ev.WarningTriaged)
    assert (event.severity, event.by) == ("attention", "")
    assert "not measured" in event.evidence
    assert book.rejudge(RunState(), 12.0) == []


def test_the_worst_report_of_a_family_decides() -> None:
    head = (
        "Some weights of BertForSequenceClassification were not initialized from the "
        "model checkpoint at x and are newly initialized: ['classifier.weight']"
    )
    lost = (
        "BertModel LOAD REPORT from: x\n\x1b[1mKey\x1b[0m | Status |\n---+---+-\n"
        "classifier.weight | MISSING |\n"
        "encoder.layer.{0...11}.output.weight | MISSING |"
    )
    book = Book()
    book.from_probe(warned(head), 10.0, 0)
    told = {**newest(book.due(10.0)), **triaged(book.rejudge(RunState(), 10.0))}
    assert told["data.new-head"].severity == "attention"
    assert "expected before training" in told["data.new-head"].evidence
    book.from_probe(warned(lost), 12.0, 0)
    told = {**newest(book.due(12.0)), **triaged(book.rejudge(RunState(), 12.0))}
    assert {t.severity for t in told.values()} == {"serious"}
    assert "encoder.layer.{0...11}.output.weight" in next(iter(told.values())).evidence


def test_a_warning_that_repeats_while_nothing_moves_is_raised_and_falls_again() -> None:
    book = Book()
    still = trained(progressed=10.0)
    book.rejudge(still, 10.0)
    for number in range(30):
        book.from_probe(warned(ODD), 10.0 + number, 0)
        assert triaged(book.rejudge(still, 10.0 + number)) == {}
    (event,) = triaged(book.rejudge(still, 75.0)).values()
    assert (event.severity, event.was) == ("attention", "unclassified")
    assert "30 times in 1 min 5 s" in event.evidence
    moved = trained(progressed=80.0, steps=StepStat(count=1))
    (event,) = triaged(book.rejudge(moved, 80.0)).values()
    assert event.severity == "unclassified"


def test_our_own_findings_are_warnings_and_events_of_their_own() -> None:
    book = Book()
    assert book.rejudge(trained(1.0), 1.0) == []
    warning, finding = book.rejudge(trained(1.0, 0.0, 0.0), 2.0)
    assert isinstance(warning, ev.WarningTriaged)
    assert isinstance(finding, ev.FindingRaised)
    assert (warning.source, warning.severity, warning.kind) == (
        "metrics",
        "serious",
        "numeric",
    )
    assert warning.evidence.startswith("heuristic: grad_norm is 0 in 2 logs in a row")
    assert finding.rule == warning.rule == "metrics.gradient-zero"
    assert book.rejudge(trained(1.0, 0.0, 0.0, 0.0), 3.0) == []
    (warning,) = book.rejudge(trained(1.0, *[0.0] * 4), 4.0)
    assert isinstance(warning, ev.WarningTriaged)
    assert (warning.count, warning.first_step, warning.last_step) == (4, 2, 5)
    warning, cleared = book.rejudge(trained(1.0, *[0.0] * 4, 0.7), 5.0)
    assert isinstance(warning, ev.WarningTriaged)
    assert isinstance(cleared, ev.FindingCleared)
    assert (warning.severity, warning.was) == ("attention", "serious")
    assert "grad_norm is 0.7 at step 6" in cleared.reason


def test_a_printed_line_of_metrics_does_not_count_twice() -> None:
    line = "{'loss': 0.0, 'grad_norm': 0.0, 'learning_rate': 1e-05}\n"
    blind, seeing = Book(), Book()
    seeing.rejudge(trained(0.0, 0.0, loss=0.0), 1.0)
    for book in (blind, seeing):
        book.from_console(line, 2.0)
    assert [e.rule for e in blind.flush(9.0)] == ["numeric.loss-zero"]
    assert seeing.flush(9.0) == []


def test_new_since_the_last_good_run() -> None:
    for known, new in ((None, None), (Known("r1", frozenset()), True)):
        book = Book(known=known)
        book.from_probe(warned(FLAGS), 1.0, 0)
        (event,) = book.flush(2.0)
        assert (event.new, event.good_run) == (new, known.run if known else "")
    book = Book(known=Known("r1", frozenset({"generation.flags-ignored"})))
    book.from_probe(warned(FLAGS), 1.0, 0)
    (event,) = book.flush(2.0)
    assert event.new is False


def test_a_rule_of_the_users_is_shown_as_theirs() -> None:
    mine = parse_own(
        "[[rule]]\nid = 'mine.killed'\nseverity = 'harmless'\nneeds = ['Killed']\n"
        "match = 'Killed'\nwhy = 'Me.'\n"
    )
    book = Book(engine(mine))
    book.from_console("Killed\n", 1.0)
    (event,) = book.flush(9.0)
    assert (event.severity, event.was, event.by) == ("harmless", "serious", "yours")


def test_a_second_supervisor_goes_on_counting_and_judging() -> None:
    first = Book()
    first.from_probe(warned(FIT, step=1, count=5), 1.0, 0)
    state = fold_all(ev.of(body, time=1.0) for body in first.flush(2.0))
    second = Book()
    second.restore(state.warnings.values())
    assert second.flush(3.0) == []
    second.from_probe(warned(FIT, step=9, count=2), 4.0, 1)
    (event,) = second.due(9.0)
    assert (event.count, event.first_step, event.last_step) == (7, 1, 9)
    assert event.ranks == [0, 1]
    told = triaged(second.rejudge(trained(0.0, 0.0), 10.0))
    assert told["numeric.no-gradient-input"].severity == "serious"
