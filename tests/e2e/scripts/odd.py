"""
Odd things that training scripts do, each a case by its function's name.

`odd.py NAME` runs one. `odd.py bare FOLDER NAME…` runs several, each in a fork that
has torch already; what they print goes to FOLDER/NAME.out and .err, and a line
`NAME pid exit-code` to FOLDER/ended. `odd.py started FOLDER NAME…` does the same by
starting Python for each, two at a time, as a notebook would.
"""

from __future__ import annotations

import copy
import functools
import importlib
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CASES: dict[str, Callable[[], None]] = {}
STEPS = 6
WRITE = os.O_WRONLY | os.O_CREAT
SPARE = 4
"""Frames that the probes may add to a step."""


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def torch() -> Any:
    import torch

    return torch


def small(width: int = 8, seed: int = 0) -> Any:
    """A model that is the same each time."""
    nn = torch().nn
    torch().manual_seed(seed)
    model = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    return Model()


def batches(count: int = STEPS, width: int = 8) -> Iterator[Any]:
    generator = torch().Generator().manual_seed(1)
    for _ in range(count):
        yield torch().randn(4, width, generator=generator)


def sgd(model: Any) -> Any:
    return torch().optim.SGD(model.parameters(), lr=0.05)


def step(model: Any, optimizer: Any, batch: Any, show: Any = print) -> None:
    loss = model(batch).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if show:
        show(loss.item().hex())


def train(model: Any, optimizer: Any, count: int = STEPS, show: Any = print) -> None:
    for batch in batches(count):
        step(model, optimizer, batch, show)


# --- calls that go another way ---


@case
def call_of_its_own() -> None:
    """The class has a `__call__` that never comes to Module's."""
    model = small()
    type(model).__call__ = lambda self, x: self.forward(x)
    train(model, sgd(model))


@case
def call_replaced() -> None:
    """`__call__` is replaced while training runs, without the one before it."""
    model = small()
    optimizer = sgd(model)
    for number, batch in enumerate(batches()):
        if number == 2:
            type(model).__call__ = lambda self, x: self.forward(x)
        step(model, optimizer, batch)


@case
def call_put_back() -> None:
    """A script that keeps `Module.__call__` and puts it back later."""
    module_class = torch().nn.Module
    kept = module_class.__call__
    model = small()
    calls = []

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(type(self).__name__)
        return kept(self, *args, **kwargs)

    optimizer = sgd(model)
    module_class.__call__ = counted
    train(model, optimizer, 3)
    module_class.__call__ = kept
    train(model, optimizer, 3)
    print(len(calls), module_class.__call__ is kept)


@case
def forward_replaced() -> None:
    model = small()
    forward = model.forward
    model.forward = lambda x: forward(x) * 2
    train(model, sgd(model))


# --- optimizers ---


@case
def optimizer_calls_super() -> None:
    base = torch().optim.SGD

    class Loud(base):
        def step(self, closure: Any = None) -> Any:
            print("step")
            return super().step(closure)

    model = small()
    base(model.parameters(), lr=0.1)
    train(model, Loud(model.parameters(), lr=0.05))


@case
def lbfgs() -> None:
    model = small()
    optimizer = torch().optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    for batch in batches(3):

        def closure(batch: Any = batch) -> Any:
            optimizer.zero_grad()
            loss = model(batch).square().mean()
            loss.backward()
            return loss

        print(optimizer.step(closure).item().hex())


@case
def own_gradients() -> None:
    """`torch.autograd.grad` instead of a backward."""
    model = small()
    optimizer = sgd(model)
    parameters = list(model.parameters())
    for batch in batches():
        loss = model(batch).square().mean()
        gradients = torch().autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        print(loss.item().hex())


@case
def own_update() -> None:
    """No optimizer at all."""
    model = small()
    for batch in batches():
        loss = model(batch).square().mean()
        loss.backward()
        with torch().no_grad():
            for parameter in model.parameters():
                parameter -= 0.05 * parameter.grad
                parameter.grad = None
        print(loss.item().hex())


@case
def accumulation() -> None:
    model = small()
    optimizer = sgd(model)
    for number, batch in enumerate(batches(), 1):
        loss = model(batch).square().mean() / 3
        loss.backward()
        print(loss.item().hex())
        if number % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()


@case
def skipped_steps() -> None:
    """The scaler finds infinities in the first and the fourth step."""
    model = small()
    skipping(model, sgd(model))


@case
def skipped_steps_fused() -> None:
    """The optimizer is called, and skips by itself."""
    model = small()
    skipping(model, torch().optim.AdamW(model.parameters(), lr=0.05, fused=True))


def skipping(model: Any, optimizer: Any) -> None:
    scaler = torch().amp.GradScaler("cpu", init_scale=4.0)
    for number, batch in enumerate(batches()):
        with torch().autocast("cpu", dtype=torch().bfloat16):
            loss = model(batch).float().square().mean()
        if number in (0, 3):
            loss = loss * float("inf")
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        print(loss.item().hex(), scaler.get_scale())


# --- exceptions ---


@case
def exceptions_caught() -> None:
    """In forward, in backward, in a hook of the optimizer; training goes on."""
    model = small()
    optimizer = sgd(model)
    train(model, optimizer, 2)
    for wrong in (lambda: model(torch().ones(2, 3)), lambda: broken_backward(model)):
        try:
            wrong()
        except (RuntimeError, ArithmeticError) as error:
            print(type(error).__name__, str(error)[:30])
    optimizer.zero_grad()
    train(model, optimizer, 2)

    def refuse(*_: Any) -> None:
        raise LookupError("refused")

    handle = optimizer.register_step_pre_hook(refuse)
    try:
        train(model, optimizer, 1)
    except LookupError as error:
        print(error)
    handle.remove()
    optimizer.zero_grad()
    train(model, optimizer, 2)


def broken_backward(model: Any) -> None:
    class Broken(torch().autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            raise ArithmeticError("in backward")

    Broken.apply(model(torch().ones(2, 8)).sum()).backward()


@case
def exception_in_backward() -> None:
    model = small()
    train(model, sgd(model), 2)
    broken_backward(model)


# --- ends and forks ---


@case
def exits_at_once() -> None:
    model = small()
    train(model, sgd(model))
    sys.stdout.flush()
    os._exit(3)


@case
def forks() -> None:
    """Children that train, and end by sys.exit and by os._exit."""
    model = small()
    optimizer = sgd(model)
    train(model, optimizer, 3)
    for leave in (sys.exit, os._exit):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            train(model, optimizer, 2)
            sys.stdout.flush()
            leave(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    train(model, optimizer, 3)


# --- streams ---


@case
def streams_replaced() -> None:
    import logging
    import warnings

    out, sys.stdout, sys.stderr = sys.stdout, io.StringIO(), io.StringIO()
    model = small()
    train(model, sgd(model))
    warnings.warn("to nobody", stacklevel=1)
    logging.getLogger("odd").warning("to nobody")
    out.write(sys.stdout.getvalue())
    out.write(repr("to nobody" in sys.stderr.getvalue()) + "\n")


@case
def streams_closed() -> None:
    import warnings

    out = os.dup(1)
    model = small()
    lines: list[str] = []
    train(model, sgd(model), 3, lines.append)
    sys.stdout.close()
    sys.stderr.close()
    for _ in range(2):
        try:
            warnings.warn("to nobody", stacklevel=1)
        except ValueError as error:
            lines.append(str(error))
        train(model, sgd(model), 3, lines.append)
        sys.stdout = sys.stderr = None
    os.write(out, "\n".join(lines).encode())


# --- limits ---


@case
def little_recursion() -> None:
    """
    The recursion limit leaves a step as many frames as it needs without probes,
    and SPARE more. The run without probes finds that number.
    """
    model = small()
    optimizer = sgd(model)
    train(model, optimizer, 2)
    found = Path(os.environ["ODD_OUT"], "frames")
    weights = copy.deepcopy(model.state_dict())

    def fits(limit: int) -> bool:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)
        try:
            model(torch().ones(4, 8)).square().mean().backward()
            optimizer.step()
        except RecursionError:
            return False
        finally:
            sys.setrecursionlimit(before)
            optimizer.zero_grad()
        return True

    if not found.exists():
        found.write_text(str(next(n for n in range(10, 1000) if fits(n))))
    print(fits(int(found.read_text()) + SPARE))
    model.load_state_dict(weights)
    train(model, optimizer, 3)


@case
def no_files() -> None:
    """While torch is imported no file can grow: no flight record can be made."""
    import resource
    import tempfile

    tempfile.gettempdir()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    torch()
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    model = small()
    train(model, sgd(model))


# --- threads ---


@case
def a_thread_trains() -> None:
    model = small()
    thread = threading.Thread(target=train, args=(model, sgd(model)))
    thread.start()
    thread.join()


@case
def two_threads_train() -> None:
    lines: dict[int, list[str]] = {0: [], 1: []}
    barrier = threading.Barrier(2)

    models = [small(seed=number) for number in lines]

    def one(number: int) -> None:
        optimizer = sgd(models[number])
        for batch in batches():
            barrier.wait()
            step(models[number], optimizer, batch, lines[number].append)
        barrier.wait()

    threads = [threading.Thread(target=one, args=(n,)) for n in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(lines)


# --- compilers and copies ---


@case
def compiled() -> None:
    from torch._dynamo.testing import CompileCounter
    from torch._dynamo.utils import counters

    model = small()
    optimizer = sgd(model)
    train(model, optimizer, 2)
    explained = torch()._dynamo.explain(model)(torch().ones(4, 8))
    print(explained.graph_count, explained.graph_break_count)
    torch()._dynamo.reset()
    counter = CompileCounter()
    whole = torch().compile(model, backend=counter, fullgraph=True)
    train(whole, optimizer, 3)
    eager = torch().compile(small(), backend="eager")
    train(eager, sgd(eager), 3)
    print(counter.frame_count, dict(counters["graph_break"]))


@case
def travels() -> None:
    """Copies and pickles of a model in the middle of its training."""
    model = small_picklable()
    optimizer = sgd(model)
    train(model, optimizer, 3)
    file = io.BytesIO()
    torch().save(model, file)
    print(len(pickle.dumps(model)), b"trainwatch" in file.getvalue())
    file.seek(0)
    loaded = torch().load(file, weights_only=False)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        train(other, sgd(other), 2)
    train(model, optimizer, 3)


def small_picklable() -> Any:
    nn = torch().nn
    torch().manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))


# --- the Trainer ---


@case
def trainer() -> None:
    """A scaler that skips, a callback that raises, and a second training."""
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch().manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    rows = [{"input_ids": list(range(8)), "labels": list(range(8))} for _ in range(32)]

    class Scaled(Trainer):
        def create_accelerator_and_postprocess(self) -> None:
            super().create_accelerator_and_postprocess()
            self.accelerator.scaler = torch().amp.GradScaler("cpu", init_scale=4.0)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            return loss * float("inf") if self.state.global_step in (0, 2) else loss

    class Raises(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 4:
                raise LookupError("in a callback")

    def made(*callbacks: Any) -> Any:
        arguments = TrainingArguments(
            output_dir=os.environ["ODD_OUT"],
            max_steps=5,
            per_device_train_batch_size=2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        model = LlamaForCausalLM(config)
        return Scaled(model, arguments, train_dataset=rows, callbacks=list(callbacks))

    try:
        made(Raises()).train()
    except LookupError as error:
        print(error)
    last = made()
    last.train()
    print([p.double().sum().item().hex() for p in last.model.parameters()])


# --- running them ---


def bare(folder: Path, names: list[str]) -> None:
    # Which the first step of every optimizer imports.
    importlib.import_module("torch._dynamo")
    for name in names:
        child = os.fork()
        if child == 0:
            for number, kind in ((1, "out"), (2, "err")):
                os.dup2(os.open(folder / f"{name}.{kind}", WRITE), number)
            CASES[name]()
            return
        note(folder, name, child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def started(folder: Path, names: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(functools.partial(start, folder), names))


def start(folder: Path, name: str) -> None:
    with (
        open(folder / f"{name}.out", "wb") as out,
        open(folder / f"{name}.err", "wb") as err,
        subprocess.Popen(
            [sys.executable, __file__, name], stdout=out, stderr=err
        ) as process,
    ):
        code = process.wait()
    note(folder, name, process.pid, code)


def note(folder: Path, name: str, pid: int, code: int) -> None:
    with open(folder / "ended", "a") as file:
        file.write(f"{name} {pid} {code}\n")


if __name__ == "__main__":
    how, *rest = sys.argv[1:]
    if how == "bare":
        bare(Path(rest[0]), rest[1:])
    elif how == "started":
        started(Path(rest[0]), rest[1:])
    else:
        CASES[how]()
