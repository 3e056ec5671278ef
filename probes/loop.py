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
from threading import get_ident
from typing import Any, Callable, Dict, List, Optional, Set

from . import ledger, model, rescue
from .bars import Bars
from .calls import NONE, Inner, give_up, phase_call, wrap_phase
from .commands import Request, Requests
from .events import LengthGuessed, TrainingBegan, TrainingEnded
from .flight import AGAIN, NUMBER, RING, SHIFT
from .forecast import Forecaster
from .guard import around, follow, guarded
from .nesting import BACKWARD, FETCH, INSIDE
from .process import Process
from .references import References
from .saving import place
from .spans import Span
from .timeline import FULL, Timeline

PLAIN = "plain loop"
MAX_ROOTS = 8
LAYOUT_EVERY = 10
"""Steps between two looks at whether the optimizer's groups have changed."""
OPTIMIZER = NUMBER["optimizer"]
FORWARD, REFERENCE = NUMBER["forward"], NUMBER["reference"]


class OpenStep:
    """A call of an optimizer's `step` that is under way."""

    __slots__ = ("around", "calls", "closure", "outer")

    def __init__(self, closure: bool) -> None:
        self.calls = 1
        """More than one where `step` calls `super().step()`."""
        self.closure = closure
        self.outer = -1
        """What ran before; -1 where it is part of another phase."""
        self.around = 0


class Loop:
    """What the hooks on torch of one process know."""

    def __init__(self, process: Process, timeline: Timeline, torch: Any) -> None:
        self.process = process
        self.timeline = timeline
        self.torch = torch
        self.is_compiling: Callable[[], bool] = torch.compiler.is_dynamo_compiling
        self._learns: Callable[[], bool] = torch.is_grad_enabled
        self.trainers = 0
        """Calls of a trainer's `train` that are under way: it says when a step
        ends, not the optimizer."""
        self.optimizer_steps = 0
        """Optimizer steps since training began; a skipped step makes none."""
        self.skipped_steps = 0
        """Steps of the lead optimizer that a gradient scaler did not let happen,
        since a trainer looked."""
        self.found_infinity: Optional[Callable[[Any], bool]] = None
        """Asks an optimizer that a gradient scaler is stepping."""
        self.clips, self.fetches = Inner(), Inner()
        """What a trainer calls inside phases of its own."""
        self.known: Dict[int, Any] = {}
        """Roots: id -> weak reference."""
        self._references: Set[int] = set()
        """The ids of those that learn nothing."""
        self._calls = References()
        self._classes: Dict[Any, Any] = {}
        """The classes of roots, each with its own `__call__`."""
        self._beginning = threading.Lock()
        self.inside = threading.local()
        """While a root is looked for: `any` module is under way in this thread."""
        self.discovery: Optional[Callable[[], None]] = None
        self._search: Any = None
        """What watches all module calls."""
        self.compiled = False
        """A compiler has read that: taken away, all would be compiled again."""
        self._discovered = False
        self._undescribed = False
        self._evaluating: Optional[Span] = None
        self._evaluated: Callable[[], Any] = _nothing
        self._open: Dict[int, OpenStep] = {}
        self._stepping = self._outer = 0
        """The id of an optimizer that steps and what ran before; 0 where there is
        none, or where it is among the open ones."""
        self._described: Any = None
        self._looked_at = 0
        self._layout: List[int] = []
        self._gradients: Optional[int] = None
        self._lead: Optional[Any] = None
        self._stepped: List[int] = []
        self._step = 0
        self._stop = False
        self._bars = Bars()
        self.forecaster = Forecaster(process)

    # --- the root ---

    def roots(self) -> List[Any]:
        found = [reference() for reference in self.known.values()]
        return [module for module in found if module is not None]

    def is_root(self, module: Any) -> bool:
        reference = self.known.get(id(module))
        return reference is not None and reference() is module

    def is_reference(self, module: Any) -> bool:
        return id(module) in self._references and self.is_root(module)

    def add_reference(self, module: Any) -> None:
        """From now on a call of `module` is a forward without gradients."""
        self.add_root(module)
        if self.is_root(module):
            self._references.add(id(module))

    def add_root(self, module: Any) -> None:
        """From now on a call of `module` is a forward."""
        if self.is_root(module) or not isinstance(module, self.torch.nn.Module):
            return
        self.known = {k: r for k, r in self.known.items() if r() is not None}
        if len(self.known) >= MAX_ROOTS:
            return
        self.known[id(module)] = weakref.ref(module)
        self._references &= set(self.known) - {id(module)}
        cls = type(module)
        if not getattr(cls.__call__, "_trainwatch_root", False):
            original = getattr(cls.__call__, "_trainwatch_original", cls.__call__)
            self._classes[cls] = original
            searching = self.discovery is not None
            self._watch(cls, _searching_call(self, original) if searching else original)

    def _watch(self, cls: Any, function: Any) -> None:
        """A call of a root of class `cls` is a forward, and calls `function`."""
        call = phase_call(
            self.timeline,
            "forward",
            function,
            self.before_forward,
            self.is_compiling,
            always=True,
        )
        call._trainwatch_root = True  # type: ignore[attr-defined]
        cls.__call__ = call

    def _watch_again(self, searching: bool) -> None:
        """While searching, what a root's class calls is looked at too."""
        for cls, function in self._classes.items():
            # Where it is not ours any more, somebody has put another in our place.
            if getattr(cls.__dict__.get("__call__"), "_trainwatch_root", False):
                self._watch(
                    cls, _searching_call(self, function) if searching else function
                )

    def discover(self) -> None:
        """Watch all module calls until the second step has ended."""
        if self.discovery is not None or self._discovered or self.trainers:
            return
        module_class = self.torch.nn.Module
        if module_class.__call__ is not self._search:
            self._search = _searching_call(self, module_class.__call__)
            self.compiled = False
            module_class.__call__ = self._search
        self._watch_again(True)

        def undo() -> None:
            if module_class.__call__ is self._search and not self.compiled:
                module_class.__call__ = self._search._trainwatch_original
            self._watch_again(False)

        self.discovery = undo

    def stop_discovery(self) -> None:
        if self.discovery is not None:
            self.discovery()
            self.discovery = None

    @guarded("loop")
    def consider(self, module: Any) -> None:
        """`module` was called from outside any module."""
        if (
            self.discovery is None
            or self.trainers
            or self.timeline.inside("forward")
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
            if not self.timeline.training:
                # Here and not at its call: this thread may not be the main one.
                self.begin("forward")
        elif self._evaluating is None:
            self._calls.called(module, learning)

    # --- hooks ---

    def before_forward(self, args: Any, kwargs: Any) -> int:
        """A module of a root's class is called."""
        module = args[0]
        reference = self.known.get(id(module))
        if reference is None or reference() is not module:
            return NONE
        if self._references and id(module) in self._references:
            return REFERENCE
        timeline = self.timeline
        learning = self._learns()
        if not self.trainers:
            if learning and module.training:
                if self._evaluating is not None:
                    self._leave_evaluation()
                if not timeline.training:
                    self.begin("forward")
                if self._undescribed:
                    self._undescribed = False
                    # What comes later is trained instead of what came before.
                    trained = self._own_roots() if self._step == 0 else [module]
                    self.process.describe(model.describe(trained))
            elif (
                timeline.training
                and not learning
                and not module.training
                and self._evaluating is None
            ):
                self._evaluating = timeline.enter("evaluate")
                self._evaluated = reference
        if not learning:
            return REFERENCE
        if self._open or self._stepping:
            self._drop_stale_optimizers()
        if timeline.changes.at - timeline.tally.read > FULL:
            timeline.make_room()
        ids = kwargs.get("input_ids")
        timeline.tokens += ids.numel() if hasattr(ids, "numel") else _count(args)
        return FORWARD

    def before_backward(self, args: Any, kwargs: Any) -> int:
        if not self.process.identified:
            self.process.identify("backward")
        if self._evaluating is not None and not self.trainers:
            self._leave_evaluation()
        if self._open or self._stepping:
            self._drop_stale_optimizers()
        return BACKWARD

    def before_fetch(self, args: Any, kwargs: Any) -> int:
        if self._evaluating is not None:
            evaluated = self._evaluated()
            if evaluated is None or evaluated.training:
                self._leave_evaluation()
        return FETCH

    @guarded("loop")
    def optimizer_created(self, args: Any, kwargs: Any) -> None:
        """It may train a model that we have not seen."""
        self._discovered = False
        self.discover()

    @guarded("loop")
    def created(self, token: Any, result: Any, error: Any) -> None:
        """Nothing follows from an optimizer that was made."""

    def optimizer_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.is_compiling():
            return
        timeline = self.timeline
        try:
            if not (
                timeline.alert
                or timeline.open
                or self._looked_at != id(optimizer)
                or len(args) > 1
                or kwargs
                or self._open
                or get_ident() != timeline.owner
            ):
                # The usual case, short: one optimizer, and nothing else is open.
                self._stepping = id(optimizer)
                self._outer = timeline.top
                timeline.open, timeline.top = 1 << OPTIMIZER, OPTIMIZER
                changes = timeline.changes
                changes.at = at = changes.at + 1
                changes.ring[at % RING] = (
                    changes.clock() - changes.zero << SHIFT | OPTIMIZER
                )
            elif timeline.owner:
                self._optimizer_begins(optimizer, args, kwargs)
        except Exception as failure:
            give_up(timeline, failure)

    def _optimizer_begins(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        timeline = self.timeline
        if get_ident() != timeline.owner and self._elsewhere():
            return
        key = id(optimizer)
        opened = self._open.get(key)
        if opened is not None:
            opened.calls += 1
            return
        if key == self._stepping:
            self._stepping, self._open[key] = 0, OpenStep(False)
            self._open[key].outer = self._outer
            self._open[key].calls = 2
            return
        self._open[key] = opened = OpenStep(bool(args[1:] or kwargs.get("closure")))
        self._before_step()
        if key != self._looked_at or self.optimizer_steps % LAYOUT_EVERY == 0:
            self._look_at(optimizer)
        around = timeline.open
        if not around & INSIDE[OPTIMIZER] and get_ident() == timeline.owner:
            opened.outer, opened.around = timeline.top, around
            timeline.go(OPTIMIZER)

    def _before_step(self) -> None:
        if not self.process.identified:
            self.process.identify("optimizer step")
        if not self.trainers:
            if self._evaluating is not None:
                self._leave_evaluation()
            if not self.timeline.training:
                self.begin("optimizer step")

    def optimizer_ended(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.is_compiling():
            return
        timeline = self.timeline
        try:
            if self._stepping == id(optimizer) and get_ident() == timeline.owner:
                self._stepping = 0
                if timeline.alert or timeline.top != OPTIMIZER:
                    timeline.back(OPTIMIZER, self._outer, 0)
                else:
                    timeline.open, timeline.top = 0, self._outer
                    changes = timeline.changes
                    changes.at = at = changes.at + 1
                    changes.ring[at % RING] = (
                        changes.clock() - changes.zero << SHIFT | AGAIN | self._outer
                    )
                self._stepped_by(optimizer)
            elif timeline.owner:
                self._optimizer_ends(optimizer)
        except Exception as failure:
            give_up(timeline, failure)
        if self._stop:
            self._stop = False
            raise SystemExit(0)

    def _optimizer_ends(self, optimizer: Any) -> None:
        if get_ident() != self.timeline.owner and self._elsewhere():
            return
        key = id(optimizer)
        opened = self._open.get(key)
        if opened is not None:
            opened.calls -= 1
            if opened.calls:
                return
            self._close(key)
        self._stepped_by(optimizer)

    def _stepped_by(self, optimizer: Any) -> None:
        self.optimizer_steps += 1
        skipped = self.found_infinity is not None and self.found_infinity(optimizer)
        if skipped and self._is_lead(optimizer):
            self.skipped_steps += 1
        if self._gradients is not None and self._is_lead(optimizer):
            self._measure(optimizer)
        if not self.trainers and self.timeline.training:
            self._count_step(optimizer, self._is_lead(optimizer), skipped)

    def skip_step(self, optimizer: Any) -> None:
        """A gradient scaler did not let `optimizer` step."""
        if get_ident() != self.timeline.owner and self._elsewhere():
            return
        self.process.identify("gradient scaler")
        lead = self._is_lead(optimizer)
        self.skipped_steps += lead
        if not self.trainers:
            if not self.timeline.training:
                self.begin("gradient scaler")
            self._count_step(optimizer, lead, True)

    def _elsewhere(self) -> bool:
        """Is it another thread than this one whose steps are counted?"""
        timeline = self.timeline
        if self.trainers or not timeline.training:
            return False
        if timeline.owner not in [thread.ident for thread in threading.enumerate()]:
            timeline.flush()
            timeline.begin_training(self._step)
            return False
        self.process.miss(
            "steps of another thread",
            "several threads train; the steps of one are counted",
        )
        return True

    # --- plain loops ---

    def begin(self, evidence: str) -> None:
        """A plain loop trains. Where two threads begin at once, the first one does;
        the other one does not wait for it."""
        if not self._beginning.acquire(blocking=False):
            return
        try:
            if self.timeline.training:
                return
            self.process.identify(evidence)
            self.process.cost.begin()
            self._step = 0
            self._lead = None
            self._stepped.clear()
            self._bars = Bars()
            self.timeline.begin_training(0)
            self._requests().open(0)
            self.process.emit(
                TrainingBegan(trainer=PLAIN, step=0, can_save=True, resumable=False)
            )
        finally:
            self._beginning.release()

    def end(self, *, stopped: bool = False) -> None:
        """A plain loop is over."""
        if self.trainers or not self.timeline.training:
            return
        self._leave_evaluation()
        self.timeline.end_training()
        self.process.emit(TrainingEnded(step=self._step, stopped=stopped))
        self._requests().close("training ended at step %d" % self._step)

    def _count_step(self, optimizer: Any, lead: bool, skipped: bool) -> None:
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
        self.process.cost.step_ended()
        self.timeline.end_step(self._step, skipped=skipped)
        if self._bars.look(self._step):
            self.process.emit(LengthGuessed(self._bars.total, "its progress bar"))
        if not self._discovered:
            self._discover_on(micro_steps)
        self._obey(optimizer)

    def _discover_on(self, micro_steps: int) -> None:
        """The first step shows what learns, the second what is called beside it."""
        if not self._calls.counting and self.discovery is not None:
            self._calls.counting = True
            return
        self._discovered = True
        self.stop_discovery()
        for module in self._calls.regular(micro_steps):
            self.add_reference(module)

    def _obey(self, optimizer: Any) -> None:
        due = self._requests().due(self._step)
        for request in due:
            if request.kind in ("save", "finish"):
                self._save(request, optimizer)
        for request in due:
            if request.kind == "stop":
                self._requests().answer(request, "done", step=self._step)
            if request.kind in ("stop", "finish"):
                self._stop = True
        if self._stop:
            self.end(stopped=True)

    def _save(self, request: Request, optimizer: Any) -> None:
        file = os.path.join(request.folder, rescue.NAME)
        span = self.timeline.enter("save", place(file))
        outcome = rescue.save(
            self.torch,
            [root for root in self.roots() if not self.is_reference(root)],
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
        if self._stepping:
            self._stepping = 0
            self.timeline.back(OPTIMIZER, self._outer, 0)
        for key in [k for k, opened in self._open.items() if not opened.closure]:
            self._close(key)

    def _close(self, key: int) -> None:
        opened = self._open.pop(key)
        if opened.outer >= 0:
            self.timeline.back(OPTIMIZER, opened.outer, opened.around)

    def _look_at(self, optimizer: Any) -> None:
        """Describe the lead optimizer once, and measure when its groups change."""
        if not self._is_lead(optimizer):
            return
        self._looked_at = id(optimizer)
        if self._described is None or self._described() is not optimizer:
            self._described = weakref.ref(optimizer)
            self.process.emit(model.describe_optimizer(optimizer))
        layout = ledger.layout(optimizer)
        if layout != self._layout:
            self._layout = layout
            self._gradients = ledger.gradient_bytes(optimizer)
            self.forecaster.before_step(optimizer, self._step_under_way())

    @guarded("loop")
    def look_again(self, now: float) -> None:
        """On the connection's thread: have the next step look at changed groups."""
        optimizer = self._described() if self._described is not None else None
        if optimizer is not None and ledger.layout(optimizer) != self._layout:
            self._looked_at = 0

    @guarded("loop")
    def groups_changed(self, args: Any, result: Any) -> None:
        """A group was added: its first step is forecast too."""
        if self._looked_at == id(args[0]):
            self._looked_at = 0

    def _measure(self, optimizer: Any) -> None:
        gradients, self._gradients = self._gradients, None
        if gradients is None:
            return
        measured = ledger.measure(
            self._step_under_way(), self._own_roots(), optimizer, gradients
        )
        self.process.emit(measured)
        self.forecaster.after_step(measured)

    def _step_under_way(self) -> int:
        """Counted from 1."""
        return 1 + max(0, self.timeline.step if self.trainers else self._step)

    def _own_roots(self) -> List[Any]:
        """The roots without those that sit inside another one."""
        roots = self.roots()
        inner = {id(model.unwrapped(r)) for r in roots if model.unwrapped(r) is not r}
        return [root for root in roots if id(root) not in inner]


def _nothing() -> None:
    """No module is being evaluated."""


def _count(args: Any) -> int:
    """Tokens of a first argument that looks like `input_ids`; `args[0]` is the
    module."""
    ids: Any = args[1] if len(args) > 1 else None
    if getattr(ids, "ndim", 0) != 2 or ids.is_floating_point():
        return 0
    return int(ids.numel())


def _searching_call(loop: Loop, original: Any) -> Any:
    """`original`, while a root is looked for among all modules."""
    is_compiling = loop.is_compiling
    inside = loop.inside

    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or loop.discovery is None or getattr(inside, "any", False):
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
    assert process.timeline is not None
    timeline = process.timeline
    if module.__name__ == "accelerate.accelerator":
        accelerator = module.Accelerator
        wrapped = wrap_phase(timeline, "clip", accelerator, "clip_grad_norm_")
        if wrapped and process.loop is not None:
            process.loop.clips.add(accelerator, "clip_grad_norm_")
        return
    torch = module
    loop = process.loop = Loop(process, timeline, torch)
    process.endings.append(loop.end)
    process.ticks.append(loop.look_again)
    wrap_phase(
        timeline,
        "backward",
        torch.autograd,
        "backward",
        loop.before_backward,
        loop.is_compiling,
    )
    clip = sys.modules["torch.nn.utils.clip_grad"]
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        if wrap_phase(timeline, "clip", clip, name, None, loop.is_compiling):
            setattr(torch.nn.utils, name, getattr(clip, name))
            loop.clips.add(clip, name)
            loop.clips.add(torch.nn.utils, name)
    iterator = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
    wrap_phase(timeline, "fetch", iterator, "__next__", loop.before_fetch)
    loop.fetches.add(iterator, "__next__")
    optimizers = sys.modules["torch.optim.optimizer"]
    optimizers.register_optimizer_step_pre_hook(loop.optimizer_begins)
    optimizers.register_optimizer_step_post_hook(loop.optimizer_ended)
    base = torch.optim.Optimizer
    base.__init__ = around(base.__init__, loop.optimizer_created, loop.created)
    follow(base, "add_param_group", loop.groups_changed)
