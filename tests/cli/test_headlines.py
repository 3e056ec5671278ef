"""The headline among plain lines: once for each change that stands."""

from __future__ import annotations

from support.signals import T0, Run
from trainwatch.cli.headlines import Headlines


def lines(run: Run, until: int) -> list[str]:
    headlines = Headlines()
    told = (headlines.look(run.state, T0 + at) for at in range(until))
    return [line.partition(" ")[2] for line in told if line]


def test_a_prompt_is_told_once_and_that_it_is_over() -> None:
    run = Run().signals(0.5, wait="keyboard", call="read", prompt="Token: ")
    (said,) = lines(run, 25)
    assert said.startswith("waiting (shell), established: for your keyboard: Token: |")
    assert said.endswith("| i gives the keyboard to the program")
    headlines = Headlines()
    for at in range(10):
        headlines.look(run.state, T0 + at)
    run.step(13, 10, 2.0)
    after = [headlines.look(run.state, T0 + at) for at in range(10, 15)]
    (over,) = [line for line in after if line]
    assert " working: " in over


def test_what_works_is_not_told() -> None:
    assert lines(Run(), 20) == []
