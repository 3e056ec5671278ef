"""Where one record ends and the next begins, however the text arrives."""

from __future__ import annotations

import random

import pytest

from trainwatch.runner.triage.cutter import MAX_OPEN, Cutter, without_bar
from trainwatch.runner.triage.records import MAX_CHARACTERS, MAX_LINES, Record


def cut(text: str, sizes: tuple[int, ...] = ()) -> list[Record]:
    cutter = Cutter()
    records: list[Record] = []
    if sizes:
        position = number = 0
        while position < len(text):
            size = sizes[number % len(sizes)]
            records += cutter.feed(text[position : position + size])
            position += size
            number += 1
    else:
        records += cutter.feed(text)
    return records + cutter.flush()


def texts(text: str) -> list[str]:
    return [record.text for record in cut(text)]


BAR = "\r  5%|▌         | 37/731 [01:08<1:22:56,  2.88s/it]"

CHAIN = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
ValueError: expected sequence of length 39

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 57, in <module>
    g()
    ^^^
RuntimeError: two lines
of message"""

LOG = (
    BAR
    + BAR
    + "There were missing keys\n"
    + "{'loss': '5.8', 'epoch': '0.1'}\n"
    + "a.py:12: UserWarning: text\n  source()\n"
    + CHAIN
    + "\n\nafterwards\r\n"
    + '  File "t.py", line 2\n    kimport x\n            ^\n'
    + "SyntaxError: invalid syntax\n"
    + "\x1b[33mWARNING\x1b[0m colour\n"
    + "The following values were not passed:\n\t`--a`\n\t`--b`\nlast"
)


def test_log_is_cut() -> None:
    assert texts(LOG) == [
        "There were missing keys",
        "{'loss': '5.8', 'epoch': '0.1'}",
        "a.py:12: UserWarning: text\n  source()",
        CHAIN,
        "afterwards",
        '  File "t.py", line 2\n    kimport x\n            ^\n'
        "SyntaxError: invalid syntax",
        "WARNING colour",
        "The following values were not passed:\n\t`--a`\n\t`--b`",
        "last",
    ]


@pytest.mark.parametrize("sizes", [(1,), (2, 3), (7,), (64,), (1, 500)])
def test_pieces_make_no_difference(sizes: tuple[int, ...]) -> None:
    assert cut(LOG, sizes) == cut(LOG)


def test_bars_alone_are_no_records() -> None:
    assert texts(BAR * 50 + "\rMap:  12%|█▏        | 124/1000 [00:00<?, ?it/s]\n") == []


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("100%|██| 731/731 [18:53<00:00, 93.20s/it]Oh: no", "Oh: no"),
        ("Loading weights: 100%|██████████| 21/21 [00:00<00:00, 240.84it/s]", ""),
        ("Generating train split: 0 examples [00:00, ? examples/s]Failed", "Failed"),
        ("Generating train split: 2000 examples [00:00, 258118.96 examples/s]", ""),
        ("Downloading: 0.00B [00:00, ?B/s]", ""),
        ("no bar [1, 2, 3]", "no bar [1, 2, 3]"),
        ("accuracy 50% | fine", "accuracy 50% | fine"),
    ],
)
def test_text_glued_to_a_bar(line: str, rest: str) -> None:
    assert without_bar(line) == rest


def test_interleaved_ranks_stay_apart() -> None:
    text = "".join(
        f"[rank{rank}]: {line}\n" for line in CHAIN.split("\n")[:4] for rank in (0, 1)
    )
    records = cut(text)
    assert [record.rank for record in records] == [0, 1]
    assert {record.message for record in records} == {
        "ValueError: expected sequence of length 39"
    }


def test_default_prefix_names_the_rank() -> None:
    (record,) = cut("[default3]:a.py:1: UserWarning: careful\n")
    assert (record.rank, record.message) == (3, "careful")


def test_caught_exception_does_not_swallow_what_follows() -> None:
    records = cut(
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n    g()\n'
        "OSError: no\n"
        "b.py:3: UserWarning: other\n  h()\n"
        "WARNING:root:third\n"
    )
    assert [record.message for record in records] == ["OSError: no", "other", "third"]


def test_loading_report_is_one_record() -> None:
    report = (
        "LlamaForCausalLM LOAD REPORT from: x\n"
        "Key          | Status  |\n"
        "-------------+---------+-\n"
        "score.weight | MISSING |\n"
        "\n"
        "Notes:\n"
        "- MISSING: those params were newly initialized"
    )
    assert texts(report + "\n\n\nnext line\n") == [report, "next line"]


def test_settle_leaves_the_unfinished_line() -> None:
    cutter = Cutter()
    assert cutter.feed("WARNING:root:one\nhalf a li") == []
    assert [record.message for record in cutter.settle()] == ["one"]
    assert cutter.feed("ne\n") == []
    assert [record.message for record in cutter.flush()] == ["half a line"]


def test_endless_line_is_cut_and_the_next_one_is_whole() -> None:
    cutter = Cutter()
    records = []
    for _ in range(40):
        records += cutter.feed("x" * 8000)
        assert len(cutter._tail) <= MAX_CHARACTERS
    records += cutter.feed("\nnext\n")
    records += cutter.flush()
    assert [len(record.text) for record in records] == [MAX_CHARACTERS, 4]


def test_endless_traceback_is_bounded() -> None:
    frames = '  File "a.py", line 1, in f\n' * (MAX_LINES * 5)
    (record,) = cut("Traceback (most recent call last):\n" + frames + "KeyError: x\n")
    assert record.text.count("\n") < MAX_LINES
    assert record.message == "KeyError: x"


def test_many_ranks_are_bounded() -> None:
    cutter = Cutter()
    for rank in range(MAX_OPEN * 3):
        cutter.feed(f"[rank{rank}]: Traceback (most recent call last):\n")
    assert len(cutter._drafts) <= MAX_OPEN + 1


PARTS = (
    "\r",
    "\n",
    "\r\n",
    "\x1b[1m",
    "\x1b]0;",
    "\x00",
    "\ud800",
    "[rank1]: ",
    "Traceback (most recent call last):\n",
    '  File "a", line 1\n',
    "ValueError: ",
    "a.py:1: UserWarning: ",
    "  ",
    "\t",
    "é漢🤗",
    "[bold]",
    "99%|",
    "| 1/2 [",
    "]",
    "{'loss': ",
    "9" * 50,
    "During handling of the above",
    "LOAD REPORT",
    "====",
    "WARNING",
)


@pytest.mark.parametrize("seed", range(25))
def test_anything_is_cut_without_error_and_within_bounds(seed: int) -> None:
    source = random.Random(seed)
    noise = source.randbytes(3000).decode("utf-8", "replace")
    pieces = [source.choice((*PARTS, noise[i : i + 9])) for i in range(3000)]
    cutter = Cutter()
    for piece in pieces:
        for record in cutter.feed(piece):
            assert len(record.text) <= MAX_CHARACTERS
            assert record.text.count("\n") < MAX_LINES
        assert len(cutter._tail) <= MAX_CHARACTERS
    cutter.flush()
    assert cutter.flush() == []
