"""
How a process fails: the exception that ends it, and its stacks on request.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import signal
import sys
import threading

from .guard import by_handler, switch_off

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .process import Process

TRACEBACK_CHARACTERS = 16_000
MESSAGE_CHARACTERS = 4_000


def install(process: Process) -> None:
    """Chain the exception hooks, and register the stack signal."""
    _chain_hooks(process)
    _register_stack_signal(process)


def _chain_hooks(process: Process) -> None:
    before = sys.excepthook
    before_thread = threading.excepthook

    @functools.wraps(before)
    def excepthook(kind: Any, error: Any, trace: Any) -> None:
        tell(process, kind, error, trace, "")
        before(kind, error, trace)

    @functools.wraps(before_thread)
    def thread_excepthook(args: Any) -> None:
        if args.exc_type is not SystemExit:
            name = getattr(args.thread, "name", "?")
            tell(process, args.exc_type, args.exc_value, args.exc_traceback, name)
        before_thread(args)

    sys.excepthook = excepthook
    threading.excepthook = thread_excepthook


def tell(process: Process, kind: Any, error: Any, trace: Any, thread: str) -> None:
    """Report an exception that nobody caught; `thread` is "" for the main one."""
    if process.silent:
        return
    for again in (True, False):
        try:
            _say(process, kind, error, trace, thread)
            return
        except Exception as fault:
            # What ends a DataLoader's worker ends its parent by two exceptions, and
            # the second one comes by SIGCHLD: here, as likely as not.
            if not (again and by_handler(fault)):
                switch_off("failures", fault)
                return


def _say(process: Process, kind: Any, error: Any, trace: Any, thread: str) -> None:
    text, message = _told(kind, error, trace)
    name = getattr(kind, "__name__", str(kind))
    phase, step = _origin(process, error)
    if thread:
        message = "in thread %s: %s" % (thread, message)
    timeline = process.timeline
    if timeline is not None and timeline.record is not None and not thread:
        timeline.record.error(message)
    process.connection.say(
        "exception_raised",
        {
            "kind": name,
            "message": message[:MESSAGE_CHARACTERS],
            "traceback": text[-TRACEBACK_CHARACTERS:],
            "phase": phase,
            "step": step,
        },
    )


def _told(kind: Any, error: Any, trace: Any) -> Any:
    """
    The traceback and the last line of it.

    Of an interrupt without the module `traceback`: while that is imported CPython
    evaluates text, forgets that it was interrupted, and exits with 1 in place of
    SIGINT (`unhandled_keyboard_interrupt` in pythonrun.c).
    """
    if kind is not KeyboardInterrupt:
        # Imported only by a process that fails.
        import traceback

        text = "".join(traceback.format_exception(kind, error, trace))
        return text, "".join(traceback.format_exception_only(kind, error)).strip()
    lines = ["Traceback (most recent call last):"]
    while trace is not None:
        code = trace.tb_frame.f_code
        place = (code.co_filename, trace.tb_lineno, code.co_name)
        lines.append('  File "%s", line %d, in %s' % place)
        trace = trace.tb_next
    message = "KeyboardInterrupt: %s" % error if error.args else "KeyboardInterrupt"
    return "\n".join([*lines, message]) + "\n", message


def _origin(process: Process, error: Any) -> Any:
    """(phase, step) where `error` or what caused it came from."""
    failed = process.timeline.failed if process.timeline is not None else None
    cause: Optional[BaseException] = error
    for _ in range(8):
        if failed is None or cause is None:
            break
        if id(cause) == failed[0]:
            return failed[1], failed[2]
        cause = cause.__cause__ or cause.__context__
    return process.where()


def stack_signal() -> int:
    """The signal that asks for the stacks on this platform."""
    if sys.platform.startswith("linux"):
        return int(signal.SIGRTMIN) + 5
    return int(signal.SIGUSR2)


def _register_stack_signal(process: Process) -> None:
    try:
        number = stack_signal()
        if signal.getsignal(number) is not signal.SIG_DFL:
            return
        os.makedirs(process.folder, mode=0o700, exist_ok=True)
        path = os.path.join(process.folder, "%d.stack" % process.pid)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        file = os.fdopen(descriptor, "w")  # faulthandler needs it open
        faulthandler.register(number, file=file, all_threads=True, chain=False)
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        switch_off("stack", error)
        return
    process.stack_signal, process.stack_file = number, path
    process.keep.append(file)


def remove_empty_stack_file(process: Process) -> None:
    """Nobody asked for the stacks: leave no empty file behind."""
    path = process.stack_file
    try:
        if path is not None and os.path.getsize(path) == 0:
            os.unlink(path)
    except OSError as error:
        switch_off("stack", error)
