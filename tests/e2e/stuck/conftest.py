from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stuck import Board, read
from support.stuck_table import table

TABLE = "TRAINWATCH_VERDICTS"
"""A file: the table of all verdicts is written there."""


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    """Plays all the cases that this session asks for, from now on."""
    asked = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and "board" in item.fixturenames
        and hasattr(item, "callspec")
    ]
    cases = read()
    board = Board([cases[name] for name in asked])
    try:
        yield board
        path = os.environ.get(TABLE)
        if path:
            Path(path).write_text(table(board.records()))
    finally:
        board.close()
