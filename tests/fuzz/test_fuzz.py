"""
No input crashes what reads events and output, or makes it grow without bound.

`TRAINWATCH_FUZZ` multiplies the number of examples: 1 takes about a minute on one
core, 10 about ten. What was found is kept as `@example` here or as a test beside the
code that it broke.
"""

from __future__ import annotations

import json
import os
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from support.hostile_events import events
from trainwatch.probes import events as ev
from trainwatch.probes import flight
from trainwatch.runner import memo
from trainwatch.runner.document import show_document
from trainwatch.runner.fold import fold
from trainwatch.runner.lines import describe
from trainwatch.runner.state import EMPTY, RunState
from trainwatch.runner.text import plain
from trainwatch.runner.triage.cutter import Cutter
from trainwatch.runner.triage.engine import Engine
from trainwatch.runner.triage.records import MAX_CHARACTERS, MAX_LINES
from trainwatch.runner.verdict import judge
from trainwatch.runner.view import RunView

ENGINE = Engine.standard()
TIMES = float(os.environ.get("TRAINWATCH_FUZZ", "1"))


def fuzzed(examples: int) -> Any:
    return settings(
        max_examples=int(examples * TIMES),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# --- the decoder ---


@fuzzed(1000)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_line_is_an_event_or_malformed(line: bytes | str) -> None:
    try:
        assert isinstance(ev.decode(line), ev.Event)
    except ev.MalformedEvent:
        pass


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@fuzzed(500)
@given(events(), st.data())
def test_a_field_of_another_type_is_malformed_or_fits(
    event: ev.Event, data: st.DataObject
) -> None:
    line = json.loads(ev.encode(event))
    name = data.draw(st.sampled_from(sorted(line)))
    line[name] = data.draw(_json)
    try:
        ev.decode(json.dumps(line))
    except ev.MalformedEvent:
        pass


@fuzzed(500)
@given(events())
def test_what_is_encoded_is_decoded(event: ev.Event) -> None:
    try:
        line = ev.encode(ev.decode(ev.encode(event)))
    except ev.MalformedEvent:
        reject()
    assert ev.encode(ev.decode(line)) == line


@fuzzed(500)
@given(st.binary(min_size=flight.SIZE, max_size=flight.SIZE), st.booleans())
def test_any_flight_record_is_read_or_none(data: bytes, looks_right: bool) -> None:
    if looks_right:
        data = flight.MAGIC + bytes((flight.LAYOUT, 0)) + data[10:]
    flight.read(data)
    flight.history(data)


# --- the fold, and all that looks at the state ---


def look(state: RunState, now: float, folder: Path) -> None:
    """All that a reader makes of a state."""
    view = RunView(state=state, verdict=judge(state, now), now=now)
    document = show_document(view, folder)
    json.dumps(document, allow_nan=False).encode()
    kept = json.dumps(memo.plain(state))
    assert memo.plain(memo.revive(RunState, json.loads(kept))) == json.loads(kept)


@fuzzed(250)
@given(st.lists(events(), max_size=30), st.floats(0, 2e9))
@example([ev.of(ev.HostSampled(cpu=nan, cgroup_pressure={"": inf}), time=0.0)], 0.0)
def test_any_events_make_a_state(
    tmp_path_factory: pytest.TempPathFactory, told: list[ev.Event], now: float
) -> None:
    state = EMPTY
    for event in told:
        try:
            event = ev.decode(ev.encode(event))
        except ev.MalformedEvent:
            continue
        state = fold(state, event)
        line = describe(event, state)
        assert line is None or b"\n" not in (encoded := line.encode())
        assert line is None or b"\x1b" not in encoded
    look(state, now, Path("/run"))


@fuzzed(3)
@given(st.lists(events(), min_size=40, max_size=80))
def test_a_state_stays_small(told: list[ev.Event]) -> None:
    """The same events again and again, as a process that never stops sends them."""
    state, sizes = EMPTY, []
    for _ in range(3):
        for turn in range(60):
            for event in told:
                state = fold(state, event)
            if turn == 59:
                sizes.append(len(json.dumps(memo.plain(state))))
    assert sizes[2] <= 1.1 * sizes[1] + 10_000


# --- the console ---

PIECES = (
    *("\n", "\r", "\r\n", "\x1b[31m", "\x1b[0m", "\x1b]0;t\x07", "[rank0]: ", "  "),
    *("Traceback (most recent call last):\n", '  File "a.py", line 1, in f\n'),
    *("    x = 1\n", "ValueError: no\n", "During handling of the above exception"),
    *(
        "a.py:1: UserWarning: x\n",
        "  warnings.warn(\n",
        " 10%|#  | 1/9 [00:01<?, ?it/s]",
    ),
    *(
        "{'loss': nan}\n",
        "-" * 40 + "\n",
        "|a|b|\n",
        "[W Module.cpp:12] y\n",
        "\x00",
        "é",
        "\ud800",
    ),
)
_output = st.lists(st.sampled_from(PIECES) | st.text(max_size=30), max_size=60)


@fuzzed(500)
@given(_output)
def test_records_are_bounded(pieces: list[str]) -> None:
    cutter = Cutter()
    records = [r for piece in pieces for r in cutter.feed(piece)] + cutter.flush()
    for record in records:
        assert len(record.text) <= MAX_CHARACTERS + 1
        assert record.text.count("\n") <= MAX_LINES


@fuzzed(500)
@given(_output, st.integers(1, 40))
def test_records_do_not_hang_on_where_reads_end(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    whole, cut = Cutter(), Cutter()
    expected = whole.feed(text) + whole.flush()
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    assert [r for p in parts for r in cut.feed(p)] + cut.flush() == expected


@fuzzed(200)
@given(_output)
def test_any_output_is_triaged(pieces: list[str]) -> None:
    cutter, engine = Cutter(), ENGINE
    records = [r for piece in pieces for r in cutter.feed(piece)] + cutter.flush()
    for record in records:
        engine.judge(record)


@fuzzed(1000)
@given(st.text(max_size=200) | _output.map("".join))
def test_plain_text_holds_no_control_but_tab_and_newline(text: str) -> None:
    shown = plain(text)
    shown.encode()
    assert not any(c < " " and c not in "\n\t" for c in shown), repr(shown)
    assert "\x7f" not in shown
    assert not any("\x80" <= c <= "\x9f" for c in shown)
