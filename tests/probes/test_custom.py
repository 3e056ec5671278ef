"""Phases of a user's own: without a watcher nothing, with one on the timeline."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import venv
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clock import Nanoseconds
from support.pythons import other_pythons
from trainwatch import phase
from trainwatch.probes import events as ev
from trainwatch.probes.own import MAX_NAMES, NAME_SIZE, Own
from trainwatch.probes.timeline import Timeline

# --- nobody watches ---


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from trainwatch import phase\n"
        "new = set(sys.modules) - before\n"
        "print(*sorted(n for n in new if not n.startswith('trainwatch')))\n"
        "print(*sorted(n for n in new if n.startswith('trainwatch')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    others, ours = done.stdout.splitlines()
    assert others == ""
    assert ours == "trainwatch trainwatch.probes trainwatch.probes.custom"


def test_a_function_stays_what_it_is() -> None:
    @phase("reward")
    def factorial(n: int, *, plus: int = 0) -> int:
        """Documented."""
        return plus + (1 if n < 2 else n * factorial(n - 1))

    assert factorial(5, plus=1) == 121
    assert (factorial.__name__, factorial.__doc__) == ("factorial", "Documented.")

    class Scorer:
        @phase("score")
        def score(self) -> Any:
            return self

    scorer = Scorer()
    assert scorer.score() is scorer


def test_exceptions_pass_through() -> None:
    error = ValueError("mine")

    @phase("reward")
    def fail() -> None:
        raise error

    for work in (fail, phase("again")(fail)):
        with pytest.raises(ValueError, match="mine") as caught:
            work()
        assert caught.value is error
    both = phase("both")
    with both, both:
        pass


def test_generators_and_coroutines_stay_what_they_are() -> None:
    seen: list[Any] = []

    @phase("batches")
    def batches(count: int) -> Iterator[int]:
        try:
            for n in range(count):
                try:
                    seen.append((yield n))
                except KeyError as error:
                    seen.append(error)
            return "done"
        finally:
            seen.append("closed")

    generator = batches(3)
    assert next(generator) == 0
    assert generator.send("sent") == 1  # type: ignore[attr-defined]
    error = KeyError("thrown")
    assert generator.throw(error) == 2  # type: ignore[attr-defined]
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "done"
    assert seen == ["sent", error, None, "closed"]
    early = batches(3)
    next(early)
    early.close()  # type: ignore[attr-defined]
    assert seen[-1] == "closed"

    @phase("ask")
    async def ask() -> int:
        await asyncio.sleep(0)
        return 7

    @phase("stream")
    async def stream() -> AsyncIterator[int]:
        yield 1

    async def use() -> list[int]:
        return [await ask()] + [n async for n in stream()]

    assert asyncio.run(use()) == [7, 1]


def test_a_phase_without_a_name_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="has a name"):
        phase(len)  # type: ignore[arg-type]


# --- names and sums ---


class Watched:
    """What `Own` needs of a process."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ticks: list[Any] = []
        self.endings: list[Any] = []
        self.now = 100.0
        self.timeline = Timeline(None, self.told.append, Nanoseconds(lambda: self.now))
        self.own = Own(self)

    def emit(self, body: Any) -> None:
        self.told.append(body)

    def spend(self, name: str, seconds: float) -> None:
        span = self.own.began(name)
        self.now += seconds
        self.own.ended(span, None)


def test_names_are_text_of_ours() -> None:
    watched = Watched()
    for name in ("a\x1b]0;b\x07\n", "x" * 99, "forward", "\x00", ""):
        watched.spend(name, 1.0)
    assert [body.detail for body in watched.told] == [
        "a]0;b",
        "x" * NAME_SIZE,
        "user:forward",
        "custom",
        "custom",
    ]
    for number in range(2 * MAX_NAMES):
        watched.spend(f"epoch {number}", 1.0)
    assert len({body.detail for body in watched.told}) <= MAX_NAMES + 1
    assert watched.told[-1].detail == "custom"


def test_short_ones_are_summed_and_long_ones_are_told() -> None:
    watched = Watched()
    for _ in range(1000):
        watched.spend("short", 0.001)
    watched.spend("long", 2.0)
    assert [(b.detail, b.count) for b in watched.told] == [("long", 1)]
    watched.own.flush()
    short = watched.told[-1]
    assert (short.detail, short.count) == ("short", 1000)
    assert short.seconds == pytest.approx(1.0, abs=1e-4)
    assert short.began == pytest.approx(100.0)
    watched.spend("short", 0.001)
    (end,) = watched.endings
    end()
    watched.spend("short", 0.002)
    assert [(b.count, b.seconds) for b in watched.told[-2:]] == [(1, 0.001), (1, 0.002)]


# --- a run watches ---

LOOP = """
    import time
    import torch
    from trainwatch import phase

    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def spend(seconds):
        began = time.monotonic()
        time.sleep(seconds)
        print(time.monotonic() - began)

    @phase("reward")
    def reward(x):
        spend(0.02)
        return model(x).sum()

    with phase("the whole run"):
        time.sleep(0.1)
        for _ in range(4):
            with phase("rollout"):
                spend(0.03)
                loss = reward(torch.ones(1, 4))
            loss.backward()
            optimizer.step()
    with phase("report"):
        time.sleep(0.6)
"""


@pytest.mark.e2e
def test_in_a_loop(run: Any) -> None:
    done = run(LOOP).check()
    steps = done.of("step_ended")
    assert [s.count for s in steps] == [1, 1, 1, 1]
    spent = [float(line) for line in done.stdout.split()]
    for step, rollout, reward in zip(steps, spent[::2], spent[1::2], strict=True):
        if step.step == 1:
            continue
        phases = step.phases
        assert phases["rollout"][0] == phases["reward"][0] == phases["forward"][0]
        assert phases["rollout"][1] == pytest.approx(rollout, abs=0.01)
        assert phases["reward"][1] == pytest.approx(reward, abs=0.01)
        assert phases["the whole run"][0] == step.count
        assert phases["other"][1] < 0.005
        assert step.seconds == pytest.approx(sum(p[1] for p in phases.values()))
    ended = [p for p in done.of("phase_ended") if p.phase == "custom"]
    outside = sum(p.seconds for p in ended if p.detail == "the whole run")
    assert 0.1 <= outside < 0.2
    assert [p.seconds > 0.6 for p in ended if p.detail == "report"] == [True]


@pytest.mark.e2e
def test_in_compiled_code_it_is_not_there(run: Any) -> None:
    done = run(
        """
        import torch
        from trainwatch import phase

        @phase("inner")
        def inner(x):
            with phase("double"):
                return x * 2

        compiled = torch.compile(inner, backend="eager", fullgraph=True)
        print(compiled(torch.ones(2)).tolist(), compiled(torch.zeros(2)).tolist())
        print(inner(torch.ones(1)).tolist())
        """
    ).check()
    assert done.stdout == "[2.0, 2.0] [0.0, 0.0]\n[2.0]\n"
    ended = {p.detail for p in done.of("phase_ended") if p.phase == "custom"}
    assert ended == {"inner", "double"}


WITHOUT = """
    import sys, time
    import trainwatch
    from trainwatch import phase
    print(trainwatch.__spec__.origin, "torch" in sys.modules)
    with phase("rollout"):
        time.sleep(0.6)
    for _ in range(100):
        with phase("tiny"):
            pass
"""


def test_where_trainwatch_is_not_installed(
    tmp_path: Path, stage: Path, environment: dict[str, str], collector: Any
) -> None:
    venv.create(tmp_path / "bare")
    for python in (tmp_path / "bare" / "bin" / "python", *other_pythons()):
        missing = [python, "-c", "import trainwatch"]
        bare = subprocess.run(missing, capture_output=True, cwd=tmp_path)
        assert b"No module named 'trainwatch'" in bare.stderr
        done = subprocess.run(
            [python, "-c", textwrap.dedent(WITHOUT)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "the probes False\n"
        collector.settle()
        assert collector.of("probe_failed") == []
        ended = {p.detail: p for p in collector.of("phase_ended")}
        assert ended["rollout"].phase == "custom"
        assert ended["rollout"].seconds >= 0.6
        assert (ended["tiny"].count, ended["tiny"].seconds < 0.5) == (100, True)
        collector.events.clear()


def test_a_module_of_the_users_comes_first(run: Any, tmp_path: Path) -> None:
    (tmp_path / "trainwatch.py").write_text("phase = 'theirs'\nhere = True\n")
    done = run("import trainwatch; print(trainwatch.here)").check()
    assert done.stdout == "True\n"


def test_the_events_of_a_phase_are_those_of_the_schema() -> None:
    body = ev.PhaseEnded("custom", 1.0, 2.0, None, "rollout", count=3)
    assert ev.decode(ev.encode(ev.of(body, time=1.0))).body == body
