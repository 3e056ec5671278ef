"""
Any training on torch: root forward, backward, clip, optimizer, fetch.

The root is the outermost module that is called with gradients on and has
something to train. A trainer names it; for a plain loop it is found during the
first step. Only the root's class is touched, and a copy of the model is not the
root, so copies, pickles and compiled code stay as they are.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import weakref
from typing import Any, Callable, Dict, List, Optional

from . import ledger, model, rescue
from .bars import Bars
from .commands import Request, Requests
from .events import LengthGuessed, TrainingBegan, TrainingEnded
from .guard import around, guarded, wrap
from .process import Process
from .references import References
from .saving import place
from .timeline import Span, Timeline

PLAIN = "plain loop"
MAX_ROOTS = 8
LAYOUT_EVERY = 10
"""Steps between two looks at whether the optimizer's groups have changed."""


class Loop:
    """What the hooks on torch of one process know."""

    def __init__(self, process: Process, timeline: Timeline, torch: Any) -> None:
        self.process = process
        self.timeline = timeline
        self.torch = torch
        self.is_compiling: Callable[[], bool] = torch.compiler.is_compiling
        self.trainers = 0
        """Calls of a trainer's `train` that are under way: it says when a step
        ends, not the optimizer."""
        self.optimizer_steps = 0
        """Optimizer steps since training began; a skipped step makes none."""
        self.forwards = 0
        """Root forwards that are under way."""
        self.references: Any = weakref.WeakSet()
        """Roots that learn nothing."""
        self._calls = References()
        self._roots: Dict[int, Any] = {}
        self._discovery: Optional[Callable[[], None]] = None
        self._discovered = False
        self._undescribed = False
        self._evaluating: Optional[Span] = None
        self._evaluated: Callable[[], Any] = _nothing
        self._depths: Dict[int, int] = {}
        self._closures: Dict[int, bool] = {}
        self._spans: Dict[int, Optional[Span]] = {}
        self._described: Any = None
        self._layout: List[int] = []
        self._gradients: Optional[int] = None
        self._lead: Optional[Any] = None
        self._stepped: List[int] = []
        self._step = 0
        self._stop = False
        self._bars = Bars()

    # --- the root ---

    def roots(self) -> List[Any]:
        found = [reference() for reference in self._roots.values()]
        return [module for module in found if module is not None]

    def is_root(self, module: Any) -> bool:
        reference = self._roots.get(id(module))
        return reference is not None and reference() is module

    def add_reference(self, module: Any) -> None:
        """From now on a call of `module` is a forward without gradients."""
        self.add_root(module)
        if self.is_root(module):
            self.references.add(module)

    def add_root(self, module: Any) -> None:
        """From now on a call of `module` is a forward."""
        if self.is_root(module) or not isinstance(module, self.torch.nn.Module):
            return
        self._roots = {k: r for k, r in self._roots.items() if r() is not None}
        if len(self._roots) >= MAX_ROOTS:
            return
        self._roots[id(module)] = weakref.ref(module)
        cls = type(module)
        if not getattr(cls.__call__, "_trainwatch_root", False):
            original = getattr(cls.__call__, "_trainwatch_original", cls.__call__)
            cls.__call__ = _root_call(self, original)

    def discover(self) -> None:
        """Watch all module calls until the second step has ended."""
        if self._discovery is not None or self._discovered or self.trainers:
            return
        module_class = self.torch.nn.Module
        original = module_class.__call__
        module_class.__call__ = mine = _discovering_call(self, original)

        def undo() -> None:
            if module_class.__call__ is mine:
                module_class.__call__ = original

        self._discovery = undo

    def stop_discovery(self) -> None:
        if self._discovery is not None:
            self._discovery()
            self._discovery = None

    @guarded("loop")
    def consider(self, module: Any) -> None:
        """`module` was called from outside any module."""
        if (
            self._discovery is None
            or self.trainers
            or self.forwards
            or self.is_root(module)
        ):
            return
        learning = self.torch.is_grad_enabled()
        if (
            learning
            and module.training
            and any(p.requires_grad for p in module.parameters())
        ):
            self.add_root(module)
            self._undescribed = True
        elif self._evaluating is None:
            self._calls.called(module, learning)

    # --- hooks ---

    @guarded("loop")
    def forward_begins(self, module: Any, args: Any, kwargs: Any) -> Optional[Span]:
        timeline = self.timeline
        if self.references and module in self.references:
            return timeline.enter("reference")
        learning = self.torch.is_grad_enabled()
        if not self.trainers:
            if learning and module.training:
                self._leave_evaluation()
                if not timeline.training:
                    self.begin("forward")
                if self._undescribed:
                    self._undescribed = False
                    self.process.describe(model.describe(self._own_roots()))
            elif (
                timeline.training
                and not learning
                and not module.training
                and self._evaluating is None
            ):
                self._evaluating = timeline.enter("evaluate")
                self._evaluated = weakref.ref(module)
        if learning:
            self._drop_stale_optimizers()
        span = timeline.enter("forward" if learning else "reference")
        if span is not None and learning:
            timeline.add_tokens(_token_count(args, kwargs))
        return span

    @guarded("loop")
    def forward_ends(self, span: Span, error: Optional[BaseException]) -> None:
        self.timeline.leave(span, error)

    @guarded("loop")
    def backward_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        self.process.identify("backward")
        if not self.trainers:
            self._leave_evaluation()
        self._drop_stale_optimizers()
        return self.timeline.enter("backward")

    @guarded("loop")
    def backward_ends(
        self, span: Span, result: Any, error: Optional[BaseException]
    ) -> None:
        if error is None:
            self.timeline.end_micro_step()
        self.timeline.leave(span, error)

    @guarded("loop")
    def clip_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        return self.timeline.enter("clip")

    @guarded("loop")
    def fetch_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        if self._evaluating is not None:
            evaluated = self._evaluated()
            if evaluated is None or evaluated.training:
                self._leave_evaluation()
        return self.timeline.enter("fetch")

    @guarded("loop")
    def phase_ends(
        self, span: Span, result: Any, error: Optional[BaseException]
    ) -> None:
        self.timeline.leave(span, None if isinstance(error, StopIteration) else error)

    @guarded("loop")
    def optimizer_created(self, args: Any, kwargs: Any) -> None:
        """It may train a model that we have not seen."""
        self._discovered = False
        self.discover()

    def optimizer_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self.is_compiling():
            self._optimizer_begins(optimizer, args, kwargs)

    @guarded("loop")
    def _optimizer_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        key = id(optimizer)
        depth = self._depths.get(key, 0) + 1
        self._depths[key] = depth
        if depth > 1:
            return
        self._closures[key] = bool(args[1:] or kwargs.get("closure"))
        self.process.identify("optimizer step")
        if not self.trainers:
            self._leave_evaluation()
            if not self.timeline.training:
                self.begin("optimizer step")
        if self._is_lead(optimizer):
            if self._described is None or self._described() is not optimizer:
                self._described = weakref.ref(optimizer)
                self.process.emit(model.describe_optimizer(optimizer))
            if self.optimizer_steps % LAYOUT_EVERY == 0 or not self._layout:
                layout = ledger.layout(optimizer)
                if layout != self._layout:
                    self._layout = layout
                    self._gradients = ledger.gradient_bytes(optimizer)
        self._spans[key] = self.timeline.enter("optimizer")

    def optimizer_ended(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.is_compiling():
            return
        self._optimizer_ends(optimizer)
        if self._stop:
            self._stop = False
            raise SystemExit(0)

    @guarded("loop")
    def _optimizer_ends(self, optimizer: Any) -> None:
        key = id(optimizer)
        depth = self._depths.get(key, 0) - 1
        if depth > 0:
            self._depths[key] = depth
            return
        self._depths.pop(key, None)
        self.timeline.leave(self._spans.pop(key, None))
        self.optimizer_steps += 1
        lead = self._is_lead(optimizer)
        if lead:
            self._measure(optimizer)
        if not self.trainers and self.timeline.training:
            self._count_step(optimizer, lead)

    # --- plain loops ---

    def begin(self, evidence: str) -> None:
        """A plain loop trains."""
        self.process.identify(evidence)
        self.process.cost.begin()
        self._step = 0
        self._bars = Bars()
        self.timeline.begin_training(0)
        self._requests().open(0)
        self.process.emit(
            TrainingBegan(trainer=PLAIN, step=0, can_save=True, resumable=False)
        )

    def end(self, *, stopped: bool = False) -> None:
        """A plain loop is over."""
        if self.trainers or not self.timeline.training:
            return
        self._leave_evaluation()
        self.timeline.end_training()
        self.process.emit(TrainingEnded(step=self._step, stopped=stopped))
        self._requests().close("training ended at step %d" % self._step)

    def _count_step(self, optimizer: Any, lead: bool) -> None:
        """One step ends with the lead optimizer, or with one that lapped it."""
        key = id(optimizer)
        if not lead and key not in self._stepped:
            self._stepped.append(key)
            return
        if not lead:
            self._lead = weakref.ref(optimizer)
        self._stepped.clear()
        self._step += 1
        micro_steps = self.timeline.micro_steps
        self.timeline.end_step(self._step)
        self.process.cost.step_ended()
        if self._bars.look(self._step):
            self.process.emit(LengthGuessed(self._bars.total, "its progress bar"))
        if not self._discovered:
            self._discover_on(micro_steps)
        self._obey(optimizer)

    def _discover_on(self, micro_steps: int) -> None:
        """The first step shows what learns, the second what is called beside it."""
        if not self._calls.counting and self._discovery is not None:
            self._calls.counting = True
            return
        self._discovered = True
        self.stop_discovery()
        for module in self._calls.regular(micro_steps):
            self.add_reference(module)

    def _obey(self, optimizer: Any) -> None:
        due = self._requests().due(self._step)
        for request in due:
            if request.kind == "save":
                self._save(request, optimizer)
        for request in due:
            if request.kind == "stop":
                self._requests().answer(request, "done", step=self._step)
                self._stop = True
        if self._stop:
            self.end(stopped=True)

    def _save(self, request: Request, optimizer: Any) -> None:
        file = os.path.join(request.folder, rescue.NAME)
        span = self.timeline.enter("save", place(file))
        outcome = rescue.save(
            self.torch,
            [root for root in self.roots() if root not in self.references],
            optimizer,
            self._step,
            request.folder,
            self.process.rank,
        )
        if span is not None:
            span.detail = rescue.NAME
        self.timeline.leave(span, outcome.error, nbytes=outcome.bytes)
        if outcome.event is not None:
            self.process.emit(outcome.event)
        self._requests().answer(
            request, outcome.outcome, outcome.detail, path=outcome.path, step=self._step
        )

    def _leave_evaluation(self) -> None:
        span, self._evaluating = self._evaluating, None
        self.timeline.leave(span)

    # --- inside ---

    def _requests(self) -> Requests:
        assert self.process.requests is not None
        return self.process.requests

    def _is_lead(self, optimizer: Any) -> bool:
        lead = self._lead() if self._lead is not None else None
        if lead is None:
            self._lead = weakref.ref(optimizer)
            return True
        return lead is optimizer

    def _drop_stale_optimizers(self) -> None:
        """
        Forget a step that was left by an exception.

        Without a closure nothing runs inside an optimizer's step.
        """
        if not self._depths:
            return
        for key in [k for k in self._depths if not self._closures.get(k)]:
            self._depths.pop(key, None)
            self.timeline.leave(self._spans.pop(key, None))

    def _measure(self, optimizer: Any) -> None:
        gradients, self._gradients = self._gradients, None
        if gradients is None:
            return
        step = self.timeline.step if self.trainers else self._step
        self.process.emit(
            ledger.measure(max(0, step) + 1, self._own_roots(), optimizer, gradients)
        )

    def _own_roots(self) -> List[Any]:
        """The roots without those that sit inside another one."""
        roots = self.roots()
        inner = {id(model.unwrapped(r)) for r in roots if model.unwrapped(r) is not r}
        return [root for root in roots if id(root) not in inner]


def _nothing() -> None:
    """No module is being evaluated."""


def _token_count(args: Any, kwargs: Any) -> int:
    """Elements of `input_ids`, or of a first argument that looks like it."""
    ids = kwargs.get("input_ids")
    if ids is None and args:
        ids = args[0]
        if getattr(ids, "ndim", 0) != 2 or ids.is_floating_point():
            return 0
    return int(ids.numel()) if hasattr(ids, "numel") else 0


def _root_call(loop: Loop, original: Any) -> Any:
    is_compiling = loop.is_compiling

    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not loop.is_root(self):
            return original(self, *args, **kwargs)
        span = loop.forward_begins(self, args, kwargs)
        if span is None:
            return original(self, *args, **kwargs)
        loop.forwards += 1
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            loop.forward_ends(span, error)
            raise
        finally:
            loop.forwards -= 1
        loop.forward_ends(span, None)
        return result

    __call__._trainwatch_root = True  # type: ignore[attr-defined]
    return __call__


def _discovering_call(loop: Loop, original: Any) -> Any:
    is_compiling = loop.is_compiling
    inside = threading.local()

    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling():
            return original(self, *args, **kwargs)
        if getattr(inside, "any", False):
            return original(self, *args, **kwargs)
        loop.consider(self)
        inside.any = True
        try:
            if loop.is_root(self):
                return type(self).__call__(self, *args, **kwargs)
            return original(self, *args, **kwargs)
        finally:
            inside.any = False

    __call__._trainwatch_original = original  # type: ignore[attr-defined]
    return __call__


def install(process: Process, module: Any) -> None:
    """Hook torch, or the clipping of accelerate."""
    if module.__name__ == "accelerate.accelerator":
        if process.loop is not None:
            loop = process.loop
            wrap(
                module.Accelerator, "clip_grad_norm_", loop.clip_begins, loop.phase_ends
            )
        return
    assert process.timeline is not None
    torch = module
    loop = process.loop = Loop(process, process.timeline, torch)
    process.endings.append(loop.end)
    compiling = loop.is_compiling
    wrap(
        torch.autograd, "backward", loop.backward_begins, loop.backward_ends, compiling
    )
    clip = sys.modules["torch.nn.utils.clip_grad"]
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        if wrap(clip, name, loop.clip_begins, loop.phase_ends, compiling):
            setattr(torch.nn.utils, name, getattr(clip, name))
    iterator = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
    wrap(iterator, "__next__", loop.fetch_begins, loop.phase_ends)
    optimizers = sys.modules["torch.optim.optimizer"]
    optimizers.register_optimizer_step_pre_hook(loop.optimizer_begins)
    optimizers.register_optimizer_step_post_hook(loop.optimizer_ended)
    base = torch.optim.Optimizer
    base.__init__ = around(base.__init__, loop.optimizer_created, loop.phase_ends)
