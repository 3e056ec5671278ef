"""
What the headline says of programs that are stuck, slow, waiting or failing, and of
such as only look like it.
"""

from __future__ import annotations

import pytest

from support.stuck import Board, read

CASES = read()

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", [c.name for c in CASES.values() if not c.control])
def test_is_said_in_time_and_stands(board: Board, name: str) -> None:
    _right(board, name)


@pytest.mark.parametrize("name", [c.name for c in CASES.values() if c.control])
def test_is_never_called_stuck_or_failing(board: Board, name: str) -> None:
    _right(board, name)


def _right(board: Board, name: str) -> None:
    record = board.record(name)
    if record.wrong:
        pytest.fail(str(record), pytrace=False)
