"""Forwards without gradients inside a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trainwatch.probes.references import References  # noqa: E402

pytestmark = pytest.mark.e2e

LOOP = """
    import copy, sys, time
    import torch
    torch.manual_seed(0)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(8, 8)
        def forward(self, x):
            return self.body(x)

    student, teacher = Model(), Model()
    other = copy.deepcopy(student)
    teacher.eval()
    student.train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    batches = torch.randn(12, 2, 8)
    mse = torch.nn.MSELoss()
    def distil(x, first=True):
        if first:
            with torch.no_grad():
                target = teacher(x)
        out = student(x)
        if not first:
            with torch.no_grad():
                target = teacher(x)
        return mse(out, target)
    def step():
        optimizer.step()
        optimizer.zero_grad()
        time.sleep(0.03)
    def validate(model, count):
        before = model.training
        model.eval()
        with torch.no_grad():
            for x in batches[:count]:
                model(x)
                time.sleep(0.01)
        model.train(before)
"""


def shares(done: Any) -> dict[str, float]:
    """Phase -> times it ran in the steps from the third on."""
    counts: dict[str, float] = {}
    for step in done.of("step_ended"):
        if step.step > 2:
            for name, (count, _) in step.phases.items():
                counts[name] = counts.get(name, 0) + count
    return counts


@pytest.fixture
def loop(run: Any) -> Any:
    import textwrap

    return lambda rest: run(textwrap.dedent(LOOP) + textwrap.dedent(rest)).check()


@pytest.mark.parametrize("first", [True, False])
def test_a_teacher(loop: Any, first: bool) -> None:
    done = loop(
        f"""
        for x in batches[:6]:
            distil(x, {first}).backward()
            step()
        validate(student, 3)
        distil(x, {first}).backward()
        step()
        print(teacher.body.weight.grad, type(teacher).__call__.__name__)
        """
    )
    assert done.stdout.startswith("None")
    counts = shares(done)
    assert counts["forward"] == 5
    # A teacher that comes first after a validation still counts as validation.
    assert counts["reference"] == (4 if first else 5)
    (evaluated,) = [p for p in done.of("phase_ended") if p.phase == "evaluate"]
    assert evaluated.seconds > 0.03
    (model,) = done.of("model_described")
    assert model.parameters == model.trainable == 72


def test_a_frozen_teacher_with_gradients_on_and_two_micro_steps(loop: Any) -> None:
    done = loop(
        """
        teacher.requires_grad_(False)
        for index, x in enumerate(batches):
            (mse(student(x), teacher(x)) / 2).backward()
            if index % 2:
                step()
        """
    )
    counts = shares(done)
    assert counts["forward"] == counts["reference"] == 8


def test_the_model_itself_without_gradients(loop: Any) -> None:
    """Adapters off, old log-probabilities: the root in training mode."""
    done = loop(
        """
        for x in batches[:6]:
            with torch.no_grad():
                old = student(x)
            mse(student(x), old + 1).backward()
            step()
        """
    )
    counts = shares(done)
    assert counts["forward"] == counts["reference"] == 4


def test_validation_is_no_reference(loop: Any) -> None:
    done = loop(
        """
        validate(other, 3)
        for number, x in enumerate(batches[:8]):
            mse(student(x), x).backward()
            step()
            if number % 3 == 0:
                validate(other, 3)
                validate(student, 3)
        """
    )
    counts = shares(done)
    assert "reference" not in counts
    assert counts["forward"] == 6
    evaluated = [p for p in done.of("phase_ended") if p.phase == "evaluate"]
    assert len(evaluated) == 3


def test_a_rescue_keeps_no_teacher(loop: Any, collector: Any, tmp_path: Path) -> None:
    asked = {"request": "save", "id": "a", "at_step": 6, "folder": str(tmp_path / "r")}
    collector.when("training_began", asked)
    done = loop(
        """
        for x in batches[:10]:
            distil(x).backward()
            step()
            time.sleep(0.1)
        """
    )
    (answer,) = done.of("request_finished")
    assert answer.outcome == "done"
    kept = torch.load(answer.path, weights_only=True)
    assert answer.step == 6
    assert set(kept) == {"step", "optimizer", "model"}


def test_what_is_called_now_and_then_is_no_reference() -> None:
    module, busy, loss = (
        torch.nn.Linear(2, 2),
        torch.nn.Linear(2, 2),
        torch.nn.MSELoss(),
    )
    calls = References()
    calls.called(module, False)
    assert calls.regular(1) == []
    calls.counting = True
    for _ in range(2):
        calls.called(module, False)
        calls.called(loss, True)
        calls.called(busy, True)
    assert calls.regular(2) == [module]
    calls.counting = True
    for _ in range(3):
        calls.called(module, False)
    assert calls.regular(1) == []
    assert not calls.counting
