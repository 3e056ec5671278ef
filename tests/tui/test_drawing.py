"""The pure parts: bars, charts, columns, marks, faces."""

from __future__ import annotations

import math

import pytest
from textual.content import Content

from support import scenes
from trainwatch.runner.limits import limits_of
from trainwatch.runner.memory import rest_of_peak
from trainwatch.runner.review import SHOWN, counts
from trainwatch.runner.state import Command, Host, Ledger, Memory, RunState
from trainwatch.runner.verdict import VERDICTS
from trainwatch.tui import bindings
from trainwatch.tui.faces import face_of
from trainwatch.tui.format import (
    column_width,
    elapsed,
    grid,
    number,
    pair,
    roughly,
    spread,
)
from trainwatch.tui.glyphs import ascii_text, wants_ascii
from trainwatch.tui.panels.command import Asked, newest
from trainwatch.tui.panels.ranks import odd_first
from trainwatch.tui.panels.warnings import counts_line
from trainwatch.tui.theme import SEVERITY_MARKS, VERDICT_MARKS
from trainwatch.tui.widgets.bar import bar
from trainwatch.tui.widgets.chart import chart
from trainwatch.tui.widgets.keyline import keyline


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        (None, "┈┈┈┈┈┈┈┈"),
        (0, "┈┈┈┈┈┈┈┈"),
        (0.001, "╸┈┈┈┈┈┈┈"),
        (50, "━━━━┈┈┈┈"),
        (56, "━━━━╸┈┈┈"),
        (500, "━━━━━━━━"),
    ],
)
def test_bar(value: float | None, drawn: str) -> None:
    assert bar(value, 100, 8).plain == drawn


def test_bar_marks_a_limit() -> None:
    assert bar(25, 100, 8, mark=50).plain == "━━┈┈┃┈┈┈"
    assert bar(25, 0, 4, mark=0).plain == "┈┈┈┈"


def test_chart_goes_from_corner_to_corner() -> None:
    lines = chart([3.0, 2.0, 1.0], 4, 2)
    assert [len(line) for line in lines] == [4, 4]
    assert lines[0][0] != "\u2800"
    assert lines[1][-1] != "\u2800"
    assert lines[1][0] == "\u2800"


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [math.nan, math.inf]])
def test_chart_of_little(values: list[float]) -> None:
    assert [len(line) for line in chart(values, 5, 2)] == [5, 5]


def test_columns_reach_both_edges() -> None:
    cells = [pair(name, "1.0 GB", column_width(30, 2)) for name in ("a", "b", "c", "d")]
    lines = [line.plain for line in grid(cells, 2, 30)]
    assert [len(line) for line in lines] == [30, 30]
    assert lines[0].startswith("a ")
    assert lines[0].endswith("1.0 GB")


def test_spread_cuts_the_left_side() -> None:
    line = spread(Content("a long text on the left"), Content("right"), 16)
    assert line.cell_length == 16
    assert line.plain.endswith(" right")
    assert "…" in line.plain


def test_numbers() -> None:
    assert elapsed(761) == "12:41"
    assert elapsed(4361) == "1:12:41"
    assert elapsed(200_000) == "2 d 07:33"
    assert number(2.1134) == "2.11"
    assert number(0.00019) == "1.9e-04"
    assert number(math.nan) == "nan"
    assert number(0) == "0"
    assert number(None) == "–"
    assert [roughly(s) for s in (4.9, 700, 90_000, 200_000)] == [
        "4 s",
        "11 min",
        "25 h",
        "2 d",
    ]


def test_every_state_and_severity_has_a_mark_of_its_own() -> None:
    assert set(VERDICT_MARKS) == set(VERDICTS)
    assert set(SEVERITY_MARKS) == set(SHOWN)
    marks = [glyph for glyph, _ in SEVERITY_MARKS.values()]
    assert len(set(marks)) == len(marks)
    assert len({ascii_text(glyph) for glyph in marks}) == len(marks)


def test_ascii_keeps_the_width() -> None:
    text = "● working ━━╸┈┃ 日本 ⣀⠉ é"
    folded = ascii_text(text)
    assert folded.isascii()
    assert Content(folded).cell_length == Content(text).cell_length


def test_ascii_is_chosen_by_the_environment() -> None:
    assert wants_ascii({"TRAINWATCH_ASCII": "1"}, "UTF-8")
    assert not wants_ascii({"TRAINWATCH_ASCII": "0"}, "ANSI_X3.4-1968")
    assert wants_ascii({}, "ANSI_X3.4-1968")
    assert not wants_ascii({}, "utf-8")


@pytest.mark.parametrize("width", [40, 60, 78, 80, 118])
def test_keys_are_never_cut(width: int) -> None:
    line = keyline(bindings.RUN_KEYS, width)
    assert line.cell_length <= width
    assert line.plain.endswith("? help")
    assert "q leave" in line.plain


@pytest.mark.parametrize("width", [30, 56, 78])
def test_counts_of_warnings_fit(width: int) -> None:
    line = counts_line(counts(scenes.serious().state.warnings.values()), width)
    assert line.cell_length <= max(width, 45)
    assert line.plain.startswith("✖ 1 serious")


def test_faces() -> None:
    assert face_of(scenes.empty(), False).name == "empty"
    assert face_of(scenes.live(), True).name == "live"
    stale = face_of(scenes.stale(), True)
    assert (stale.name, stale.note) == ("stale", "6 min 12 s old")
    assert face_of(scenes.stale(), True, moves=False).name == "live"
    assert face_of(scenes.unsupervised(), True, moves=False).name == "stale"
    assert face_of(scenes.ended(), True).name == "ended"


def test_odd_rank_comes_first() -> None:
    ranks = odd_first(scenes.two_ranks().state.ranks)
    assert [p.rank for p in ranks] == [1, 0]


def test_budget_is_the_smallest_limit_that_counts() -> None:
    host = Host(ram_limit=25, ram_total=40)
    assert limits_of(Memory("mps:0", torch_limit=30, physical=36), host).budget == (
        25,
        "host limit",
    )
    assert limits_of(Memory("cuda:0", physical=24), host).budget == (24, "physical")
    assert limits_of(Memory("cuda:0"), host).budget is None


def test_activations_are_what_the_ledger_leaves() -> None:
    full = Ledger(10, 20, 5, 7, 7, 1)
    assert rest_of_peak(Memory(peak=60), full) == 10
    assert rest_of_peak(Memory(peak=40), full) is None
    assert rest_of_peak(Memory(peak=60), Ledger(10, 20)) is None
    assert rest_of_peak(Memory(), full) is None


def test_the_log_knows_best_what_became_of_a_command() -> None:
    logged = Command("c1", "snapshot", 100.0, "done", "saved")
    state = RunState(commands=(logged,))
    assert newest(state, None) is logged
    assert newest(state, Asked("snapshot", 99.5)) is logged
    later = Asked("abort", 200.0)
    assert newest(state, later) is later
    assert newest(RunState(), later) is later
    assert newest(RunState(), None) is None
    under_way = RunState(commands=(Command("c2", "abort", 200.0),))
    refused = Asked("abort", 200.0, "refused", "no")
    assert newest(under_way, refused) is refused
