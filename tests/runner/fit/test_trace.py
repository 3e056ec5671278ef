from __future__ import annotations

from pathlib import Path

import pytest

from trainwatch.runner.fit.trace import Move, Trace, read


def example() -> Trace:
    trace = Trace()
    trace.begin("setup")
    weights = trace.allocate(1000)
    trace.begin("forward")
    hidden = trace.allocate(24)
    trace.free(hidden)
    trace.begin("optimizer")
    trace.free(weights)
    return trace


def test_moves_carry_their_bytes_and_phases_their_moves() -> None:
    assert list(example().phases()) == [
        ("setup", [Move(0, 1000, 1)]),
        ("forward", [Move(1, 24, 1), Move(1, 24, -1)]),
        ("optimizer", [Move(0, 1000, -1)]),
    ]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    example().write(tmp_path / "trace.json")
    assert read(tmp_path / "trace.json") == example()


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"sizes":[1],"signed":[2],"borders":[]}', '{"sizes":[1],"signed":[1]}'],
)
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace.json").write_text(text)
    with pytest.raises(ValueError, match="not a trace of allocations"):
        read(tmp_path / "trace.json")
