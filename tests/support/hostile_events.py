"""Events of every type, with the values that a hostile or broken process could send."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from trainwatch.probes import events as ev

PIDS = (0, 1, 100, 101)
WORDS = (
    *("", "step", "forward", "backward", "custom", "rank", "worker", "Trainer"),
    *("loss", "grad_norm", "cuda", "mps", "cpu", "serious", "harmless", "done"),
    *("failed", "running", "\x1b]52;c;eA==\x07", "[red]x[/]", "../../etc", "\ud800"),
)
_text = st.sampled_from(WORDS) | st.text(max_size=20)
_integer = st.integers(-2, 300) | st.integers(-(1 << 63), (1 << 63) - 1)
_number = st.floats() | st.floats(0, 100) | _integer
_OF: dict[str, st.SearchStrategy[Any]] = {
    "int": _integer,
    "float": _number,
    "str": _text,
    "bool": st.booleans(),
    "List[str]": st.lists(_text, max_size=4),
    "List[int]": st.lists(_integer, max_size=4),
    "Dict[str, int]": st.dictionaries(_text, _integer, max_size=4),
    "Dict[str, str]": st.dictionaries(_text, _text, max_size=4),
    "Dict[str, float]": st.dictionaries(_text, _number, max_size=4),
    "Dict[str, List[float]]": st.dictionaries(
        _text, st.lists(_number, max_size=3), max_size=4
    ),
}


def values(kind: str) -> st.SearchStrategy[Any]:
    """Values of the annotation `kind`, as a schema's field has it."""
    if kind.startswith("Optional["):
        return st.none() | _OF[kind[len("Optional[") : -1]]
    return _OF[kind]


def bodies(kinds: list[type[Any]]) -> st.SearchStrategy[Any]:
    """A body of one of `kinds`, each field left out or filled."""
    return st.one_of(
        *(
            st.fixed_dictionaries(
                {}, optional={f.name: values(str(f.type)) for f in fields(kind)}
            ).map(lambda given, kind=kind: kind(**given))
            for kind in kinds
        )
    )


def events(kinds: list[type[Any]] | None = None) -> st.SearchStrategy[ev.Event]:
    """An event that carries such a body."""
    return st.builds(
        lambda body, time, pid, rank: ev.of(body, time=time, pid=pid, rank=rank),
        bodies(kinds or list(ev.TYPES.values())),
        st.floats(0, 2e9) | _number.map(float),
        st.sampled_from(PIDS),
        st.none() | st.sampled_from((0, 1, 2, 1 << 40)),
    )
