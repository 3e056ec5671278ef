"""The kind of trouble that an exception tells, and where it tells none."""

from __future__ import annotations

import pytest

from trainwatch.runner.failures import NONE, failure
from trainwatch.runner.state import Process, RunFacts, RunState
from trainwatch.runner.verdict import judge

KNOWN = (
    ("OSError", "OSError: [Errno 28] No space left on device", "resource"),
    ("OSError", "OSError: [Errno 24] Too many open files: 'a.bin'", "resource"),
    ("MemoryError", "MemoryError", "resource"),
    (
        "RuntimeError",
        "RuntimeError: DataLoader worker (pid(s) 12) exited unexpectedly",
        "resource",
    ),
    (
        "AssertionError",
        "AssertionError: Torch not compiled with CUDA enabled",
        "incompatibility",
    ),
    (
        "JSONDecodeError",
        "json.decoder.JSONDecodeError: Unterminated string starting at: line 1",
        "data",
    ),
    (
        "RuntimeError",
        "RuntimeError: [../pair.cc:598] Connection closed by peer [127.0.0.1]:9",
        "distributed",
    ),
)


@pytest.mark.parametrize(("kind", "message", "trouble"), KNOWN)
def test_what_the_words_say(kind: str, message: str, trouble: str) -> None:
    assert failure(kind, message).kind == trouble


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("ValueError", "ValueError: rows must be even"),
        ("AssertionError", "AssertionError"),
        ("RuntimeError", "RuntimeError: shape '[2, 3]' is invalid for input of size 5"),
        ("", ""),
    ],
)
def test_other_words_tell_no_kind(kind: str, message: str) -> None:
    assert failure(kind, message) == NONE


def test_a_connection_that_a_loader_lost_was_its_worker() -> None:
    said = ("ConnectionResetError", "ConnectionResetError: [Errno 104] reset by peer")
    found = failure(*said, 'File "/lib/torch/utils/data/dataloader.py", line 3')
    assert (found.kind, "DataLoader worker" in found.means) == ("resource", True)
    assert failure(*said, 'File "train.py", line 3') == NONE


def ended(status: str) -> RunState:
    process = Process(
        pid=1,
        error_kind="OSError",
        error="OSError: [Errno 28] No space left on device",
    )
    run = RunFacts(status=status, exit_code=1, started=0.0, ended=9.0)
    return RunState(run=run, processes={1: process})


def test_a_failed_run_has_it_in_its_verdict_and_the_type_once() -> None:
    verdict = judge(ended("failed"), 10.0)
    assert (verdict.kind, verdict.facts[1]) == (
        "resource",
        "OSError: [Errno 28] No space left on device",
    )
    assert "free the disk" in verdict.do


def test_an_error_that_was_survived_is_not_the_end() -> None:
    assert judge(ended("finished"), 10.0).kind is None
