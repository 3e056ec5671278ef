"""Plain loops on torch, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

LOOP = """
    import copy, io, os, pickle, sys, time
    import torch
    torch.manual_seed(0)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(50, 16)
            self.head = torch.nn.Linear(16, 50)
            self.embed.weight.requires_grad_(False)
        def forward(self, input_ids):
            return self.head(self.embed(input_ids))

    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = torch.utils.data.TensorDataset(torch.randint(0, 50, (24, 8)))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    def batch_loss(ids):
        return torch.nn.functional.cross_entropy(
            model(input_ids=ids).flatten(0, 1), ids.flatten()
        )
    def train(pause=0.03, accumulate=1):
        model.train()
        for index, (ids,) in enumerate(loader):
            (batch_loss(ids) / accumulate).backward()
            if (index + 1) % accumulate:
                continue
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            time.sleep(pause)
    def evaluate():
        model.eval()
        with torch.no_grad():
            for (ids,) in loader:
                model(input_ids=ids)
                time.sleep(0.01)
"""


@pytest.fixture
def loop(run: Any) -> Callable[..., Any]:
    """`loop(rest)`: LOOP and the rest of a script, run to the end."""
    import textwrap

    def start(rest: str, **options: Any) -> Any:
        script = textwrap.dedent(LOOP) + textwrap.dedent(rest)
        return run(script, **options)

    return start


def test_a_plain_loop(loop: Any, tmp_path: Path) -> None:
    done = loop(
        """
        train()
        evaluate()
        train()
        torch.save(model.state_dict(), "mine.pt")
        print(sum(p.numel() for p in model.parameters()), flush=True)
        """
    ).check()
    (joined,) = done.of("process_joined")
    assert joined.role == "other"
    assert [i.evidence for i in done.of("rank_identified")] == ["forward"]
    (began,) = done.of("training_began")
    assert (began.trainer, began.step, began.can_save, began.resumable) == (
        "plain loop",
        0,
        True,
        False,
    )
    steps = done.of("step_ended")
    assert sum(s.count for s in steps) == 12
    assert steps[-1].step == 12
    for step in steps:
        assert step.seconds == pytest.approx(sum(p[1] for p in step.phases.values()))
        assert step.clock == "host"
        assert step.phases["forward"][0] == step.count
        assert step.phases["backward"][0] == step.count
        assert step.phases["clip"][0] == step.count
        assert step.phases["optimizer"][0] == step.count
        assert step.tokens == 32 * step.count
    assert sum(s.phases["fetch"][0] for s in steps) >= 11
    (model,) = done.of("model_described")
    assert (model.model, model.parameters, model.trainable) == ("Model", 1650, 850)
    assert (model.weights_trainable, model.weights_frozen) == (3400, 3200)
    assert model.dtypes == {"float32": 1650}
    assert model.devices == {"cpu": 1650}
    (optimizer,) = done.of("optimizer_described")
    assert (optimizer.optimizer, optimizer.learning_rate) == ("AdamW", 1e-3)
    (ledger,) = done.of("ledger_measured")
    assert ledger.step == 1
    assert (ledger.weights_trainable, ledger.weights_frozen) == (3400, 3200)
    assert (ledger.gradients, ledger.exp_avg, ledger.exp_avg_sq) == (3400, 3400, 3400)
    assert ledger.optimizer_other == 8
    (evaluated,) = [p for p in done.of("phase_ended") if p.phase == "evaluate"]
    assert evaluated.seconds > 0.05
    assert evaluated.step == 6
    (saved,) = done.of("checkpoint_saved")
    assert saved.path == str(tmp_path / "mine.pt")
    assert saved.bytes == (tmp_path / "mine.pt").stat().st_size
    assert (saved.step, saved.ours) == (12, False)
    (ended,) = done.of("training_ended")
    assert (ended.step, ended.stopped) == (12, False)
    counted = done.of("probe_counted")[-1]
    assert counted.dropped == counted.errors == 0
    assert 0 < counted.step_cost_s < 0.01


def test_accumulated_micro_steps(loop: Any) -> None:
    done = loop("train(accumulate=3)").check()
    steps = done.of("step_ended")
    assert [(s.step, s.micro_steps) for s in steps] == [(1, 3), (2, 3)]
    assert steps[1].phases["backward"][0] == 3
    # Inner modules of the second micro-step are not roots of their own.
    (model,) = done.of("model_described")
    assert model.model == "Model"


def test_a_hooked_model_travels(loop: Any) -> None:
    done = loop(
        """
        train()
        copied = copy.deepcopy(model)
        pickled = pickle.loads(pickle.dumps(model))
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        ids = torch.randint(0, 50, (2, 8))
        for other in (copied, pickled, loaded):
            assert torch.equal(other(ids), model(ids))
            other(ids).sum().backward()
        assert "_trainwatch" not in str(model.__dict__)
        assert b"trainwatch" not in pickle.dumps(model)
        assert torch.nn.Module.__call__.__name__ == "_wrapped_call_impl"
        train()
        """
    ).check()
    steps = done.of("step_ended")
    # Three forwards of the root itself ran between step 6 and step 7.
    assert sum(s.phases["forward"][0] for s in steps) == 12 + 3
    assert len(done.of("training_began")) == 1


def test_compiled_models_do_not_break(loop: Any) -> None:
    script = """
        import warnings
        warnings.simplefilter("error")
        from torch._dynamo.testing import CompileCounter
        counter = CompileCounter()
        plain, inner = model, model.head
        model.head = torch.compile(inner, backend=counter, fullgraph=True)
        train(0)
        model.head = inner
        model = torch.compile(plain, backend=counter, fullgraph=True)
        train(0)
        print(torch._dynamo.utils.counters["graph_break"])
        warnings.simplefilter("ignore")

        @torch.compile(backend=counter)
        def update():
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            optimizer.step()

        batch_loss(torch.randint(0, 50, (2, 8))).backward()
        update()
        print(sorted(torch._dynamo.utils.counters["graph_break"].values()))
        """
    done = loop(script).check()
    bare = loop(script, env={"PYTHONPATH": ""})
    assert done.stdout == bare.stdout
    assert done.stdout.startswith("Counter()\n")
    assert sum(s.count for s in done.of("step_ended")) == 12


def test_an_exception_in_forward_is_the_users(loop: Any) -> None:
    done = loop(
        """
        train()
        for _ in range(2):
            try:
                model(input_ids=torch.tensor([[99]]))
            except IndexError as error:
                print("caught", error)
        train()
        model(input_ids=torch.tensor([[99]]))
        """
    )
    assert done.returncode == 1
    assert done.stdout.count("caught index out of range") == 2
    assert done.stderr.rstrip().endswith("IndexError: index out of range in self")
    assert done.of("step_ended")[-1].step == 12
    (error,) = done.of("exception_raised")
    assert (error.kind, error.phase, error.step) == ("IndexError", "forward", 12)


def test_an_optimizer_that_failed_goes_on(loop: Any) -> None:
    done = loop(
        """
        class Moody(torch.optim.SGD):
            moods = iter([False, True, False, False, False, False, False])
            def step(self, closure=None):
                if next(self.moods):
                    raise RuntimeError("not now")
                return super().step(closure)
        torch.optim.SGD(model.parameters(), lr=1e-3)
        optimizer = Moody(model.parameters(), lr=1e-3)
        for (ids,) in loader:
            batch_loss(ids).backward()
            try:
                optimizer.step()
            except RuntimeError as error:
                print(error)
        """
    ).check()
    assert done.stdout == "not now\n"
    steps = done.of("step_ended")
    # A step that calls its base class's step is one step.
    assert steps[-1].step == 5
    assert sum(s.count for s in steps) == 5


def test_two_optimizers_make_one_step(loop: Any) -> None:
    done = loop(
        """
        second = torch.optim.SGD([model.embed.weight.requires_grad_()], lr=1e-3)
        for (ids,) in loader:
            batch_loss(ids).backward()
            optimizer.step()
            second.step()
            time.sleep(0.03)
        """
    ).check()
    steps = done.of("step_ended")
    assert steps[-1].step == 6
    assert sum(s.phases["optimizer"][0] for s in steps) == 11


def test_a_process_that_only_reads_trains_nothing(loop: Any) -> None:
    done = loop("evaluate()\nmodel(input_ids=torch.tensor([[1]]))").check()
    assert done.of("step_ended") == []
    # The one call in training mode is missing: `evaluate` left it off.
    assert done.of("training_began") == []


def test_workers_of_a_loader_are_silent(loop: Any) -> None:
    done = loop(
        """
        loader = torch.utils.data.DataLoader(
            data, batch_size=4, num_workers=2, multiprocessing_context="fork"
        )
        train()
        """
    ).check()
    assert len({e.pid for e in done.events}) == 1
    assert done.of("step_ended")[-1].step == 6
    assert done.stderr == ""


def test_save_and_stop_at_one_step(loop: Any, collector: Any, tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    collector.when(
        "training_began",
        {"request": "save", "id": "a", "at_step": 3, "folder": str(folder)},
    )
    collector.when("training_began", {"request": "stop", "id": "b", "at_step": 3})
    done = loop(
        """
        try:
            train(0.4)
        finally:
            print("finally", flush=True)
        print("not reached")
        """
    ).check()
    assert (done.stdout, done.stderr) == ("finally\n", "")
    answers = {a.id: a for a in done.of("request_finished")}
    assert (answers["a"].outcome, answers["b"].outcome) == ("done", "done")
    assert answers["a"].path == str(folder / "rescue.pt")
    assert answers["a"].step == answers["b"].step == 3
    assert [p.name for p in folder.iterdir()] == ["rescue.pt"]
    rescued = torch.load(folder / "rescue.pt")
    assert rescued["step"] == 3
    assert set(rescued["model"]) == {"embed.weight", "head.weight", "head.bias"}
    assert len(rescued["optimizer"]["state"]) == 2
    (saved,) = done.of("checkpoint_saved")
    assert (saved.ours, saved.step) == (True, 3)
    assert done.of("step_ended")[-1].step == 3
    (ended,) = done.of("training_ended")
    assert ended.stopped


def test_a_save_that_cannot_be_written_fails_alone(
    loop: Any, collector: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    collector.when(
        "training_began",
        {"request": "save", "id": "a", "folder": str(tmp_path / "file")},
    )
    collector.when("training_began", {"request": "save", "id": "b", "at_step": 99})
    done = loop("train(0.3)").check()
    answers = {a.id: a for a in done.of("request_finished")}
    assert answers["a"].outcome == "failed"
    assert "file" in answers["a"].detail
    assert answers["b"].outcome == "refused"
    assert answers["b"].detail == "training ended at step 6"
    assert done.of("step_ended")[-1].step == 6


def test_ranks_save_and_stop_at_the_agreed_step(
    run: Any, collector: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "snapshot"
    for rank in (0, 1):
        for kind in ("save", "stop"):
            request = {"request": kind, "id": kind, "at_step": 3}
            collector.when(
                "training_began", {**request, "folder": str(folder)}, rank=rank
            )
    done = run(
        """
        import os, time
        import torch
        import torch.distributed as dist
        dist.init_process_group("gloo")
        linear = torch.nn.Linear(8, 8)
        model = torch.nn.parallel.DistributedDataParallel(linear)
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(9):
            model(torch.randn(4, 8)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            time.sleep(0.5)
        """,
        options=("-m", "torch.distributed.run", "--nproc_per_node", "2"),
        env={"MASTER_PORT": "0"},
    ).check()
    roles = sorted(joined.role for joined in done.of("process_joined"))
    assert roles == ["launcher", "rank", "rank"]
    ranks = {e.rank for e in done.events if e.type == "rank_identified"}
    assert ranks == {0, 1}
    assert [(e.step, e.stopped) for e in done.of("training_ended")] == [(3, True)] * 2
    answers = [(e.rank, e.body) for e in done.events if e.type == "request_finished"]
    saves = {rank: body for rank, body in answers if body.id == "save"}
    assert {body.outcome for _, body in answers} == {"done"}
    assert saves[0].path == str(folder / "rescue.pt")
    assert saves[1].detail == "rank 0 writes it"
    assert set(torch.load(folder / "rescue.pt")["model"]) == {"weight", "bias"}
