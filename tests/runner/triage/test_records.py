"""What the prefixes of a record say."""

from __future__ import annotations

import pytest

from trainwatch.runner.triage.records import (
    MAX_CHARACTERS,
    MAX_LINES,
    fingerprint,
    read,
)


@pytest.mark.parametrize(
    ("text", "level", "logger", "message"),
    [
        ("WARNING:root:careful", "WARNING", "root", "careful"),
        (
            "04/21/2023 22:17:14 - WARNING - datasets.builder - Found it",
            "WARNING",
            "datasets.builder",
            "Found it",
        ),
        (
            "2024-01-01 10:00:00,123 - mylib.io - ERROR - no",
            "ERROR",
            "mylib.io",
            "no",
        ),
        ("2024-01-01 10:00:00,123 WARNING careful", "WARNING", "", "careful"),
        ("[WARNING|trainer.py:781] 2024-01-01 10:00:00,1 >> hm", "WARNING", "", "hm"),
        (
            "[INFO|2025-05-27 15:17:16] llamafactory.model:143 >> LoRA",
            "INFO",
            "llamafactory.model",
            "LoRA",
        ),
        (
            "[rank0]:[W1123 07:31:27.7 reducer.cpp:1529] Warning: find me",
            "WARNING",
            "",
            "find me",
        ),
        (
            "E0622 19:47:17.565751 1403735 torch/distributed/api.py:826] failed",
            "ERROR",
            "",
            "failed",
        ),
        (
            "2024-06-04 10:44:39.356 | INFO     | main:create:155 - made",
            "INFO",
            "main",
            "made",
        ),
        (
            "[transformers] `torch_dtype` is old",
            "",
            "transformers",
            "`torch_dtype` is old",
        ),
        ("[RANK 0] careful", "", "", "careful"),
        ("wandb: WARNING slow", "WARNING", "wandb", "slow"),
        ("Warning: careful", "WARNING", "", "careful"),
        ("an ordinary line: 3", "", "", "an ordinary line: 3"),
    ],
)
def test_log_prefixes(text: str, level: str, logger: str, message: str) -> None:
    record = read(text)
    assert (record.level, record.logger, record.message) == (level, logger, message)


def test_warned_pair() -> None:
    record = read("/a/b.py:12: pkg.MyWarning: careful\n  source(line)")
    assert record.category == "MyWarning"
    assert (record.file, record.line) == ("/a/b.py", 12)
    assert record.message == "careful"


def test_what_is_known_wins_over_prefixes() -> None:
    record = read("WARNING:root:careful", logger="mine", level="ERROR")
    assert (record.logger, record.level, record.message) == ("mine", "ERROR", "careful")


def test_traceback_speaks_by_its_last_exception() -> None:
    record = read(
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n    f()\n'
        "KeyError: 'x'\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n"
        '  File "b.py", line 7, in g\n    h()\n'
        "mylib.errors.OddError: first\nsecond"
    )
    assert record.traceback
    assert record.message == "mylib.errors.OddError: first\nsecond"
    assert record.fingerprint == "OddError: first"
    assert (record.file, record.line) == ("b.py", 7)


@pytest.mark.parametrize(
    "text",
    [
        "careful with that",
        "[transformers] careful with that",
        "/a/b.py:12: UserWarning: careful with that\n  warnings.warn(",
        "WARNING:root:careful with that",
        "[WARNING|trainer.py:781] 2024-01-01 10:00:00,1 >> careful  with that",
        "\x1b[33mWARNING\x1b[0m careful with that",
        "[rank3]: careful with that\nmore",
    ],
)
def test_fingerprint_is_the_same_wherever_it_was_caught(text: str) -> None:
    assert read(text).fingerprint == fingerprint("careful with that")


def test_bounds() -> None:
    assert len(read("x" * (MAX_CHARACTERS * 3)).text) == MAX_CHARACTERS
    assert read("a\n" * (MAX_LINES * 3)).text.count("\n") < MAX_LINES
