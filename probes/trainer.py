"""
The Trainer of transformers and everything built on it (TRL).

We listen to what a trainer tells its callback handler, and span the methods that
make up a step, also where a subclass overrides them. No callback is added: each
one is called five times a step, and the user's list stays the user's. Requests
are honoured only when a step ends: the trainer resets its control flags anywhere
else.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from . import model
from .calls import phase_call
from .commands import Request, Requests
from .count import Count, length
from .events import CheckpointSaved, MetricsLogged, TrainingBegan, TrainingEnded
from .flight import NUMBER
from .guard import around, follow, guarded
from .loop import Loop
from .process import Process
from .resuming import resumed
from .saving import name_of, place
from .sizes import size_of
from .spans import Span
from .timeline import Timeline

LOSS = NUMBER["loss"]
CALLS = {
    "get_batch_samples": "fetch",
    "compute_loss": "loss",
    "_clip_grad_norm": "clip",
}
"""Method -> phase of a step."""
SPANS = {
    "log": "log",
    "_precompute_ref_logps": "data",
}
"""Method -> phase outside the steps, where the span needs nothing else."""


REFERENCES = ("ref_model", "teacher_model")
"""Where trainers keep what they call without gradients."""


class Watch:
    """One trainer class family, as seen by this process."""

    def __init__(self, process: Process, timeline: Timeline, loop: Loop) -> None:
        self.process = process
        self.timeline = timeline
        self.loop = loop
        self.saving: List[Request] = []
        """Save requests given to the trainer that it has not reported yet."""
        self.stopped = False
        self.ended = True
        self._spanned: set[type] = set()
        self._trainers: Dict[int, Any] = {}
        """Callback handler by id -> weak reference to its trainer."""
        self._optimizer_steps = 0
        self._batches = Count(timeline)
        self._predictions = 0
        self._resumes = ""
        """The checkpoint that the next training goes on from."""

    # --- what the trainer's callback handler was told ---

    @guarded("trainer")
    def train_began(self, told: Any, control: Any) -> None:
        handler, args, state = told[:3]
        trainer = self._trainers.get(id(handler), _nobody)()
        self.began(trainer, args, state, handler)

    @guarded("trainer")
    def step_ended(self, told: Any, control: Any) -> None:
        state = told[2]
        step = int(state.global_step)
        taken = self.loop.optimizer_steps
        skipped = taken == self._optimizer_steps and taken > 0
        self._optimizer_steps = taken
        process = self.process
        process.cost.step_ended()
        self.timeline.end_step(step, skipped=skipped or self.loop.skipped_steps > 0)
        self.loop.skipped_steps = 0
        requests = process.requests
        if requests is not None:
            if self.saving:
                self._give_up("the trainer did not save when asked")
            due = requests.due(step)
            if due:
                self.obey(requests, due, control if control is not None else told[3])

    @guarded("trainer")
    def log_made(self, told: Any, control: Any) -> None:
        if len(told) > 4:
            self.logged(told[2], told[4])

    @guarded("trainer")
    def prediction_made(self, told: Any, control: Any) -> None:
        """One batch of an evaluation is done."""
        if not self._batches.open:
            return
        if not self._predictions:
            loader = getattr(told[0], "eval_dataloader", None)
            self._batches.expect(length(loader))
        self._predictions += 1
        self._batches.at(self._predictions)

    @guarded("trainer")
    def train_ended(self, told: Any, control: Any) -> None:
        self.finished(int(told[2].global_step), "training ended")

    # --- what follows from it ---

    @guarded("trainer")
    def began(self, trainer: Any, args: Any, state: Any, handler: Any) -> None:
        root = getattr(handler, "model", None)
        self.process.identify("trainer")
        self.process.cost.begin()
        self.loop.add_root(root)
        for name in REFERENCES:
            self.loop.add_reference(getattr(trainer, name, None))
        self.stopped = self.ended = False
        self.saving.clear()
        if hasattr(trainer, "_clip_grad_norm"):
            self.loop.clips.rest()
        if hasattr(trainer, "get_batch_samples"):
            self.loop.fetches.rest()
        step = int(state.global_step)
        self.timeline.begin_training(step)
        self._optimizer_steps = self.loop.optimizer_steps
        self.loop.skipped_steps = 0
        if self.process.requests is not None:
            self.process.requests.open(step)
        self.process.emit(
            TrainingBegan(
                trainer=type(trainer).__name__ if trainer is not None else "Trainer",
                step=step,
                max_steps=_integer(getattr(state, "max_steps", None)),
                epochs=_float(getattr(args, "num_train_epochs", None)),
                output_dir=_path(getattr(args, "output_dir", None)),
                batch_size=_integer(getattr(args, "per_device_train_batch_size", None)),
                accumulation=_integer(
                    getattr(args, "gradient_accumulation_steps", None)
                ),
                save_total_limit=_integer(getattr(args, "save_total_limit", None)),
                can_save=True,
                resumable=not getattr(args, "save_only_model", False),
                workers=_integer(getattr(args, "dataloader_num_workers", None)),
                precision=_precision(args),
            )
        )
        resumes, self._resumes = self._resumes, ""
        if resumes or step:
            self.process.emit(resumed(resumes, args, state, handler))
        if root is not None:
            self.process.describe(model.describe([root]))
        self.loop.forecaster.at_begin(getattr(trainer, "optimizer", None))

    def obey(self, requests: Requests, due: Sequence[Request], control: Any) -> None:
        """Do what is asked for at the end of this step."""
        for request in due:
            if request.kind in ("save", "finish"):
                control.should_save = True
                self.saving.append(request)
            if request.kind in ("stop", "finish"):
                control.should_training_stop = True
                self.stopped = True
            if request.kind == "stop":
                requests.answer(request, "done", step=self.timeline.step)

    @guarded("trainer")
    def logged(self, state: Any, logs: Any) -> None:
        values = {
            str(name): float(value)
            for name, value in (logs or {}).items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        epoch = values.pop("epoch", None)
        if epoch is None:
            epoch = _float(getattr(state, "epoch", None))
        self.process.emit(MetricsLogged(int(state.global_step), epoch, values))

    @guarded("trainer")
    def saved(self, path: str, step: int, seconds: float, size: Optional[int]) -> None:
        ours = bool(self.saving)
        self.process.emit(CheckpointSaved(path, step, round(seconds, 6), size, ours))
        if self.process.requests is not None:
            for request in self.saving:
                self.process.requests.answer(request, "done", path=path, step=step)
        self.saving.clear()

    @guarded("trainer")
    def finished(self, step: int, reason: str) -> None:
        if self.ended:
            return
        self.ended = True
        self._give_up(reason)
        self.loop.clips.work()
        self.loop.fetches.work()
        self.timeline.end_training()
        self.process.emit(TrainingEnded(step=step, stopped=self.stopped))
        if self.process.requests is not None:
            self.process.requests.close("%s at step %d" % (reason, step))

    def _give_up(self, reason: str) -> None:
        if self.process.requests is not None:
            for request in self.saving:
                self.process.requests.answer(request, "failed", reason)
        self.saving.clear()

    # --- spans ---

    def span(self, phase: str) -> Tuple[Callable[..., Any], Callable[..., Any]]:
        @guarded("trainer")
        def before(args: Any, kwargs: Any) -> Optional[Span]:
            return self.timeline.enter(phase)

        return before, self.leave

    @guarded("trainer")
    def evaluation_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        self._predictions = 0
        return self._batches.begin(self.timeline.enter("evaluate"))

    @guarded("trainer")
    def evaluation_ends(
        self, span: Span, result: Any, error: Optional[BaseException]
    ) -> None:
        self._batches.end()
        self.timeline.leave(span, error)

    @guarded("trainer")
    def leave(self, span: Span, result: Any, error: Optional[BaseException]) -> None:
        self.timeline.leave(span, error)

    def before_loss(self, args: Any, kwargs: Any) -> int:
        """The model that is trained is a root."""
        root = args[1] if len(args) > 1 else kwargs.get("model")
        known = self.loop.known.get(id(root))
        if root is not None and (known is None or known() is not root):
            self.loop.add_root(root)
        return LOSS

    @guarded("trainer")
    def save_begins(self, args: Any, kwargs: Any) -> Optional[Tuple[Span, Any, str]]:
        trainer = args[0]
        trial = args[2] if len(args) > 2 else kwargs.get("trial")
        name = "checkpoint-%d" % trainer.state.global_step
        path = os.path.join(trainer._get_output_dir(trial=trial), name)
        span = self.timeline.enter("save", place(path))
        return None if span is None else (span, trainer, path)

    @guarded("trainer")
    def save_ends(
        self,
        token: Tuple[Span, Any, str],
        result: Any,
        error: Optional[BaseException],
    ) -> None:
        span, trainer, path = token
        size = size_of(path)
        span.detail = name_of(path)
        self.timeline.leave(span, error, nbytes=size)
        if error is None and size is not None:
            seconds = self.timeline.age(span)
            self.saved(
                os.path.abspath(path), int(trainer.state.global_step), seconds, size
            )

    @guarded("trainer")
    def model_save_begins(self, args: Any, kwargs: Any) -> Optional[Tuple[Span, str]]:
        path = args[1] if len(args) > 1 else kwargs.get("output_dir")
        path = os.fsdecode(path or getattr(args[0].args, "output_dir", None) or "")
        span = self.timeline.enter("save", place(path))
        return None if span is None else (span, path)

    @guarded("trainer")
    def model_save_ends(
        self, token: Tuple[Span, str], result: Any, error: Optional[BaseException]
    ) -> None:
        span, path = token
        span.detail = name_of(path)
        self.timeline.leave(span, error)

    @guarded("trainer")
    def resume_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        path = args[1] if len(args) > 1 else kwargs.get("resume_from_checkpoint")
        self._resumes = os.fsdecode(path or "")
        return self.timeline.enter("load")

    @guarded("trainer")
    def train_begins(self, args: Any, kwargs: Any) -> Any:
        self.loop.trainers += 1
        self.loop.stop_discovery()
        return args[0]

    @guarded("trainer")
    def train_ends(
        self, trainer: Any, result: Any, error: Optional[BaseException]
    ) -> None:
        self.loop.trainers -= 1
        step = int(getattr(getattr(trainer, "state", None), "global_step", 0) or 0)
        self.finished(step, "training failed" if error else "training ended")

    @guarded("trainer")
    def init_begins(self, args: Any, kwargs: Any) -> Any:
        self.process.identify("trainer")
        self.instrument(type(args[0]))
        return args[0]

    @guarded("trainer")
    def init_ended(
        self, trainer: Any, result: Any, error: Optional[BaseException]
    ) -> None:
        handler = getattr(trainer, "callback_handler", None)
        if handler is not None:
            self._trainers = {k: r for k, r in self._trainers.items() if r()}
            self._trainers[id(handler)] = weakref.ref(trainer)

    def instrument(self, cls: type) -> None:
        """Span the methods of `cls` and of its bases, each definition once."""
        for base in cls.__mro__:
            if base in self._spanned or not hasattr(base, "compute_loss"):
                continue
            self._spanned.add(base)
            for name, phase in CALLS.items():
                function = base.__dict__.get(name)
                if callable(function):
                    before = self.before_loss if phase == "loss" else None
                    setattr(
                        base, name, phase_call(self.timeline, phase, function, before)
                    )
            pairs = {name: self.span(phase) for name, phase in SPANS.items()}
            for name in ("evaluate", "predict"):
                pairs[name] = (self.evaluation_begins, self.evaluation_ends)
            pairs["_save_checkpoint"] = (self.save_begins, self.save_ends)
            pairs["save_model"] = (self.model_save_begins, self.model_save_ends)
            pairs["train"] = (self.train_begins, self.train_ends)
            pairs["_load_from_checkpoint"] = (self.resume_begins, self.leave)
            for name, (before, after) in pairs.items():
                function = base.__dict__.get(name)
                if callable(function):
                    setattr(base, name, around(function, before, after))


def install(process: Process, module: Any) -> None:
    """Listen to every trainer from now on."""
    assert process.timeline is not None
    if process.loop is None:
        return
    watch = Watch(process, process.timeline, process.loop)
    trainer_class = module.Trainer
    watch.instrument(trainer_class)
    trainer_class.__init__ = around(
        trainer_class.__init__, watch.init_begins, watch.init_ended
    )
    for name, after in (
        ("on_train_begin", watch.train_began),
        ("on_step_end", watch.step_ended),
        ("on_log", watch.log_made),
        ("on_prediction_step", watch.prediction_made),
        ("on_train_end", watch.train_ended),
    ):
        follow(module.CallbackHandler, name, after)
    process.endings.append(lambda: watch.finished(_step(process), "the process ended"))


def _nobody() -> None:
    """The trainer of a handler that we do not know."""


def _step(process: Process) -> int:
    return max(0, process.timeline.step) if process.timeline is not None else 0


def _integer(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _precision(args: Any) -> Optional[str]:
    """In which it computes, as far as its own arguments tell."""
    asked = [getattr(args, name, None) for name in ("bf16", "fp16")]
    if getattr(args, "deepspeed", None) or None in asked:
        return None
    return "bf16" if asked[0] else "fp16" if asked[1] else "fp32"


def _float(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) else None


def _path(value: Any) -> Optional[str]:
    return os.path.abspath(value) if isinstance(value, (str, os.PathLike)) else None
