"""
Arm the probes in this process. Called once, by the shim, before user code.

Here only what every process needs: the line, the fork rule, failures, warnings
and the watch on imports. What a library needs is imported with that library.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from importlib import import_module

from . import cautions, failures, standin
from .guard import switch_off, tell_to
from .imports import ImportWatch
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Dict, List, Optional

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
"""Their import is a phase and an event."""
PROBES = (
    ("logging", "cautions"),
    ("trainwatch", "custom"),
    ("torch", "custom"),
    ("torch", "loop"),
    ("torch", "scaler"),
    ("torch", "loading"),
    ("torch", "saving"),
    ("torch", "memory"),
    ("accelerate.accelerator", "loop"),
    ("transformers.trainer", "trainer"),
    ("transformers.generation.utils", "generation"),
    ("transformers.modeling_utils", "loading"),
    ("transformers.modeling_utils", "saving"),
    ("transformers.tokenization_utils_base", "loading"),
    ("safetensors.torch", "loading"),
    ("safetensors.torch", "saving"),
    ("peft.peft_model", "saving"),
    ("datasets.arrow_dataset", "loading"),
    ("torch._dynamo.callback", "compiling"),
    ("accelerate.data_loader", "skipping"),
    ("huggingface_hub.file_download", "downloading"),
    ("huggingface_hub._snapshot_download", "downloading"),
)
"""Once this module is imported, that probe's `install(process, module)` runs."""


LAST = -1_000_000
"""Of the finalizers of multiprocessing."""


def arm() -> Optional[Process]:
    """Arm this process, or leave it alone where there is nothing to watch."""
    standin.install()
    process = Process(os.environ["TRAINWATCH_SOCKET"], os.environ["TRAINWATCH_RUN"])
    if not process.role:
        return None
    tell_to(process.fail)
    failures.install(process)
    cautions.watch_warnings(process)
    _watch_imports(process)
    _obey_forks(process)
    _say_goodbye(process)
    process.connection.start()
    return process


def _watch_imports(process: Process) -> None:
    local = threading.local()

    def began(name: str) -> None:
        if name.partition(".")[0] not in LIBRARIES:
            return
        importing = local.__dict__.setdefault("importing", [])
        importing.append([time.monotonic(), 0.0, None])
        process.prepare()
        if process.timeline is not None:
            importing[-1][2] = process.timeline.enter("import", name)

    def ended(name: str, module: Any) -> None:
        if name.partition(".")[0] not in LIBRARIES:
            return
        importing: List[Any] = local.importing
        start, nested, span = importing.pop()
        took = time.monotonic() - start
        if process.timeline is not None:
            process.timeline.leave(span)
        if name not in LIBRARIES or module is None:
            if importing:
                importing[-1][1] += nested
            return
        if importing:
            importing[-1][1] += took
        version = module.__dict__.get("__version__")
        process.connection.say(
            "library_imported",
            {
                "name": name,
                "version": version if isinstance(version, str) else None,
                "seconds": round(took - nested, 6),
            },
        )

    watch = ImportWatch(_safe("imports", began), _safe("imports", ended))
    for name in LIBRARIES:
        watch.watch(name, _ignore)
    for name, probe in PROBES:
        watch.watch(name, _installer(process, probe))
    watch.install()


def _ignore(module: ModuleType) -> None:
    """The import itself was all there is to see."""


def _safe(probe: str, function: Any) -> Any:
    def call(*args: Any) -> None:
        try:
            function(*args)
        except Exception as error:
            switch_off(probe, error)

    return call


def _installer(process: Process, probe: str) -> Any:
    def install(module: ModuleType) -> None:
        if not process.silent:
            if probe != "cautions":
                process.prepare()
            import_module("." + probe, __package__).install(process, module)

    return install


def _obey_forks(process: Process) -> None:
    """
    No thread of ours is alive during a fork, and the child says nothing.

    From Python 3.12 on a fork next to a thread warns, and counts threads late;
    there the thread comes back with the next phase or event.
    """

    def before() -> None:
        process.connection.pause()

    def after_in_parent() -> None:
        miss_child(process)
        if sys.version_info < (3, 12):
            process.connection.resume()
        elif process.timeline is not None:
            process.timeline.wake = process.connection.resume

    os.register_at_fork(
        before=_safe("fork", before),
        after_in_parent=_safe("fork", after_in_parent),
        after_in_child=_safe("fork", process.silence),
    )


def miss_child(process: Process) -> None:
    """
    Say that a forked child is not watched.

    A child of `multiprocessing` is a worker, and one of `subprocess` becomes
    another program, which has probes of its own if it is a Python.
    """
    frame = sys._getframe(1)
    while (
        frame.f_back is not None and frame.f_globals.get("__package__") == __package__
    ):
        frame = frame.f_back
    code = frame.f_code
    if frame.f_globals.get("__name__") in (
        "multiprocessing.popen_fork",
        "subprocess",
        "_posixsubprocess",
    ):
        return
    where = "%s:%d" % (os.path.basename(code.co_filename), frame.f_lineno)
    process.miss(
        "forked children", "forked at %s; they hold no probe of their own" % where
    )


def _say_goodbye(process: Process) -> None:
    def ending() -> None:
        if process.silent or process.timeline is None:
            return
        while process.endings:
            process.endings.pop()()
        process.timeline.end()

    def goodbye() -> None:
        if process.silent:
            return
        ending()
        if process.requests is not None:
            process.requests.close("the process ended")
        failures.remove_empty_stack_file(process)
        cautions.flush(process)
        process.tell_missed()
        if process.timeline is not None:
            process.count()
        process.connection.say("process_left", {"reason": "exit"})
        process.connection.finish()

    # threading's own exit callbacks run before those of atexit, which may take
    # minutes (an upload): the phase `end` begins here.
    register: Dict[str, Any] = vars(threading)
    if "_register_atexit" in register:
        register["_register_atexit"](_safe("end", ending))
    atexit.register(_safe("end", goodbye))
    if process.role == "worker":
        # A child of multiprocessing ends by os._exit, after its finalizers.
        from multiprocessing.util import Finalize

        Finalize(None, _safe("end", goodbye), exitpriority=LAST)
