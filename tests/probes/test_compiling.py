"""Compilation by torch.compile is a phase of its own, and nothing breaks by it."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.e2e

SCRIPT = """
    import time
    import torch
    torch.manual_seed(0)
    from torch._dynamo.testing import CompileCounter

    class Slow(CompileCounter):
        def __call__(self, graph, example_inputs):
            time.sleep(0.3)
            return super().__call__(graph, example_inputs)

    counter = Slow() if BACKEND == "counting" else BACKEND
    plain = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)

    model = torch.compile(plain, backend=counter, fullgraph=True)

    def train():
        for _ in range(4):
            loss = model(torch.ones(2, 8)).sum()
            loss.backward()
            optimizer.step()
            time.sleep(0.03)
        return loss.item()

    first = train()
    torch._dynamo.reset()
    print(first, train(), dict(torch._dynamo.utils.counters["graph_break"]))
    print("compiled", getattr(counter, "frame_count", None))
"""


def test_compilations_are_told_and_taken_out_of_the_step(run: Any) -> None:
    script = 'BACKEND = "counting"\n' + textwrap.dedent(SCRIPT)
    done = run(script).check()
    bare = run(script, env={"PYTHONPATH": ""})
    assert done.stdout == bare.stdout
    # No graph break, and nothing is compiled again because of us.
    assert done.stdout.endswith(" {}\ncompiled 2\n")
    # The second one comes after a reset, which clears torch's callbacks.
    compiled = [p for p in done.of("phase_ended") if p.phase == "compile"]
    assert len(compiled) == 2
    assert all(0.3 <= p.seconds < 30 for p in compiled)
    assert [p.step for p in compiled] == [0, 4]
    steps = done.of("step_ended")
    assert sum(s.count for s in steps) == 8
    assert all(s.phases["forward"][1] < 0.3 for s in steps)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
def test_inductor_and_its_backward(run: Any) -> None:
    script = 'BACKEND = "inductor"\n' + textwrap.dedent(SCRIPT)
    done = run(script.split("torch._dynamo.reset()")[0] + "print(first)\n").check()
    compiled = [p for p in done.of("phase_ended") if p.phase == "compile"]
    assert compiled
    assert sum(s.count for s in done.of("step_ended")) == 4
    told = sum(p.seconds for p in compiled)
    (step,) = [s for s in done.of("step_ended") if s.step == 1]
    assert told > 5 * (step.phases["forward"][1] + step.phases["backward"][1])
