"""
Two optimizer steps of the real trainer on tensors without bytes, in a process of its
own: `python -m trainwatch.runner.fit.simulate`.

One request a line on stdin, one answer a line on stdout. A request is
`{"plan": {…}, "trace": FILE or null}`. An answer has `method`, `reason`, `peaks`,
`parameters`, `trainable`, `targets` of LoRA, `seconds`, `rss`, `versions` and the
`trace` that was written, or `refused` with one line. What the libraries print goes to
stderr.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from trainwatch.runner.errors import RefusedError, TrainwatchError
from trainwatch.runner.fit import formula
from trainwatch.runner.fit.bill import SETUP, Peak, peaks, phase_name
from trainwatch.runner.fit.plan import Plan, from_json

STEPS = 2
SIMULATION = "simulation"
FORMULA = "formula"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["ACCELERATE_USE_CPU"] = "true"
    warnings.simplefilter("ignore")
    # What takes seconds to import, before any clock starts.
    import_module("trainwatch.runner.fit.build")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = simulate(from_json(request["plan"]), request.get("trace"))
        except TrainwatchError as error:
            answer = {"refused": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def simulate(plan: Plan, trace: str | None = None) -> dict[str, Any]:
    """
    The answer to one request.

    Args:
        trace: the file to write the trace of allocations to.

    Raises:
        RefusedError: the plan asks for what the model or the stack does not have.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answer = _two_steps(plan, folder, trace)
    return {
        **answer,
        "seconds": round(time.monotonic() - began, 2),
        "rss": _rss(),
        "versions": _versions(),
    }


def _two_steps(plan: Plan, folder: str, file: str | None) -> dict[str, Any]:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from trainwatch.runner.fit import patches
    from trainwatch.runner.fit.build import trained_model, trainer_of
    from trainwatch.runner.fit.recorder import Recorder

    patches.apply()
    recorder = Recorder()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = trained_model(plan)
        sizes = _sizes(model)
        backends = [SDPBackend.MATH]
        if plan.attention == "flash":
            backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        try:
            trainer = trainer_of(plan, model, folder)
            with sdpa_kernel(backends):
                _train(plan, trainer, model, recorder)
        except RefusedError:
            raise
        except Exception as error:
            if not _is_of_fakes(error):
                said = _reason(error, recorder.operator)
                raise RefusedError(f"the simulated training fails: {said}") from error
            return {
                **sizes,
                "method": FORMULA,
                "reason": _reason(error, recorder.operator),
                "peaks": [asdict(peak) for peak in _by_formula(plan, model)],
                "trace": None,
            }
    if file is not None:
        recorder.trace.write(Path(file))
    return {
        **sizes,
        "method": SIMULATION,
        "reason": None,
        "peaks": [asdict(peak) for peak in peaks(recorder.trace, recorder.labels)],
        "trace": file,
    }


def _train(plan: Plan, trainer: Any, model: Any, recorder: Any) -> None:
    """
    What `Trainer.train` does of interest to memory, with a border before each phase.
    """
    import torch

    trace = recorder.trace
    trace.begin(SETUP)
    opened = [p for p in model.parameters() if p.requires_grad]
    recorder.label(opened, "weights_trainable")
    recorder.label(model.parameters(), "weights_frozen")
    recorder.label(model.buffers(), "weights_frozen")
    for parameter in opened:
        parameter.register_post_accumulate_grad_hook(
            lambda p: recorder.label([p.grad], "gradients")
        )
    optimizer = trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = plan.accumulate
    backward = trainer.accelerator.backward
    step = 0

    def in_backward(loss: Any, **arguments: Any) -> None:
        trace.begin(phase_name(step, "backward"))
        backward(loss, **arguments)

    trainer.accelerator.backward = in_backward
    with recorder:
        _label_state(recorder, optimizer)
        for step in range(1, STEPS + 1):
            trace.begin(phase_name(step, "fetch"))
            batches = [_batch(plan, model) for _ in range(plan.accumulate)]
            items = sum(batch["labels"].ne(-100).sum() for batch in batches)
            for batch in batches:
                trace.begin(phase_name(step, "forward"))
                # A mask that masks nothing is not passed: it is looked at and dropped.
                inputs = {k: v for k, v in batch.items() if k != "attention_mask"}
                trainer.training_step(model, inputs, items)
                del inputs
            trace.begin(phase_name(step, "clip"))
            torch.nn.utils.clip_grad_norm_(opened, trainer.args.max_grad_norm)
            trace.begin(phase_name(step, "optimizer"))
            # An optimizer reads counts and norms, to scale by them: any will do.
            recorder.number_read = 1.0
            optimizer.step()
            recorder.number_read = None
            _label_state(recorder, optimizer)
            model.zero_grad()
            del batches, batch


def _batch(plan: Plan, model: Any) -> dict[str, Any]:
    import torch

    ids = torch.zeros((plan.batch, plan.seq), dtype=torch.int64)
    return {
        "input_ids": ids,
        "labels": ids.clone(),
        "attention_mask": torch.ones_like(ids),
    }


def _label_state(recorder: Any, optimizer: Any) -> None:
    for state in optimizer.state.values():
        for name, value in state.items():
            if hasattr(value, "untyped_storage"):
                known = name in ("exp_avg", "exp_avg_sq")
                recorder.label([value], name if known else "optimizer_other")


def _sizes(model: Any) -> dict[str, Any]:
    from trainwatch.runner.fit.build import adapted

    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "targets": adapted(model),
    }


def _is_of_fakes(error: Exception) -> bool:
    """
    Whether a real tensor would not have raised this: an operator without a fake form,
    a value or a shape that only data can tell.
    """
    if isinstance(error, NotImplementedError):
        return True
    module = type(error).__module__
    return module.startswith(("torch._subclasses", "torch.fx.experimental"))


def _reason(error: Exception, operator: str) -> str:
    """
    Why it could not be simulated: the operator that has no fake form, where the error
    names one, else the one that ran last.
    """
    named = getattr(error, "func", None)
    said = " ".join(str(error).split())[:200]
    at = str(named) if named is not None else f"after {operator}" if operator else ""
    return ": ".join(part for part in (at, type(error).__name__, said) if part)


def _by_formula(plan: Plan, model: Any) -> list[Peak]:
    from trainwatch.runner.fit.build import layers_of

    config = model.config.get_text_config()
    trained = [p for p in model.parameters() if p.requires_grad]
    whole = [t for t in (*model.parameters(), *model.buffers())]
    layers = layers_of(getattr(model, "base_model", model))
    opened = [any(p.requires_grad for p in m.parameters()) for m in layers]
    return formula.peaks(
        plan,
        formula.Shape(
            hidden=config.hidden_size,
            heads=getattr(config, "num_attention_heads", 0),
            vocabulary=config.vocab_size,
            layers=len(layers),
            layers_with_backward=len(layers)
            if not any(opened)
            else len(layers) - opened.index(True),
            weights=_bytes(whole),
            trainable=_bytes(trained),
            elements=sum(p.numel() for p in trained),
            largest=max((p.numel() * p.element_size() for p in trained), default=0),
        ),
    )


def _bytes(tensors: list[Any]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _rss() -> int:
    """
    The most RAM that this process held, in bytes.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _versions() -> Mapping[str, str]:
    return {
        name: getattr(sys.modules[name], "__version__", "")
        for name in ("torch", "transformers", "peft", "trl")
        if name in sys.modules
    }


if __name__ == "__main__":
    main()
