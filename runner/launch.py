"""
Start a command under watch.

The command line's process forks the supervisor and the keeper away before it
loads anything heavy, so that the child's first instruction comes soon. The
child runs the user's exact command, in its own session, with a terminal.
"""

from __future__ import annotations

import errno
import json
import os
import pty
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from trainwatch.runner import manifest, sockets
from trainwatch.runner.errors import LaunchError
from trainwatch.runner.files import write_atomically
from trainwatch.runner.home import new_run_folder
from trainwatch.runner.keeper import RESERVE, RESERVE_BYTES, Keeper
from trainwatch.runner.ladder import GRACE_S
from trainwatch.runner.naming import checked, tidy
from trainwatch.runner.oom_kills import OomKills
from trainwatch.runner.redact import redact_argv
from trainwatch.runner.stage import stage

EVENTS_SOCKET = "events.sock"
CONTROL_SOCKET = "control.sock"
NOTIFY = "TRAINWATCH_NOTIFY"
TERMINAL_SIZE = (40, 120)
"""Rows and columns of a child that no terminal shows."""

Command = tuple[str, Sequence[str], str, Mapping[str, str], int, int | None]
"""Program, argv, folder, environment, the child's end of its output, stdin."""
_BOOT = "import sys; sys.path[0]={path!r}; from {module} import main; main()"


def launch(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    name: str | None = None,
    probes: bool = True,
    grace: float = GRACE_S,
    size: tuple[int, int] = TERMINAL_SIZE,
    environment: Mapping[str, str] | None = None,
    terminal: bool = True,
    stdin: int | None = None,
    notify: str = "",
) -> Path:
    """
    Start `argv` and return its run directory once the child runs.

    Must be called from a process without threads, because it forks.

    Args:
        argv: the command, as a shell would pass it.
        cwd: where the child starts; the current folder by default.
        name: how people call the run; derived from the command by default.
        probes: False watches from outside only.
        grace: seconds from a SIGTERM to us until somebody kills the run.
        size: rows and columns of the child's terminal.
        environment: the child's environment; ours by default.
        terminal: False gives the child a pipe, which stdout and stderr share.
        stdin: a descriptor that the child reads from; by default its terminal,
            and nothing where it has none.
        notify: a shell line that is told when a person is needed.

    Raises:
        LaunchError: the command cannot be started, or its run not be kept.
        UsageError: `name` cannot be one.
    """
    cwd = os.path.abspath(cwd or os.getcwd())
    environment = dict(os.environ if environment is None else environment)
    program = find_program(argv, cwd, environment)
    name = checked(name) if name else tidy(default_name(argv))
    try:
        folder = new_run_folder()
    except OSError as error:
        raise LaunchError(f"the run cannot be kept: {error}") from None
    try:
        facts = manifest.Manifest(
            id=folder.name,
            name=name,
            argv=redact_argv(argv),
            cwd=cwd,
            started=time.time(),
            probes=probes,
            grace=grace,
            terminal=terminal,
            python=".".join(str(part) for part in sys.version_info[:3]),
            host={"node": os.uname().nodename, "system": os.uname().sysname},
            environment=sorted(environment),
        )
        manifest.write(folder, facts)
        write_atomically(folder / RESERVE, b"\0" * RESERVE_BYTES)
        OomKills(folder).look(os.getpid())
        listeners = (
            sockets.listen(folder, EVENTS_SOCKET),
            sockets.listen(folder, CONTROL_SOCKET),
        )
        if probes:
            _arm(environment, folder)
        ends = _open_terminal(size) if terminal else os.pipe()
        command = (program, argv, cwd, environment, ends[1], stdin)
        _spawn(command, ends[0], folder, listeners, notify)
    except (OSError, LaunchError) as error:
        sockets.remove(folder, EVENTS_SOCKET)
        sockets.remove(folder, CONTROL_SOCKET)
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, LaunchError):
            raise
        raise LaunchError(f"the run cannot be kept: {error}") from None
    return folder


def find_program(argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> str:
    """
    The file that `argv[0]` means.

    Raises:
        LaunchError: there is none (127), it may not be run (126), or it is a
            Python that is given a script which does not exist (2).
    """
    if not argv or not argv[0]:
        raise LaunchError("there is no command to run", 2)
    command = argv[0]
    found = shutil.which(
        os.path.join(cwd, command) if os.sep in command else command,
        path=environment.get("PATH"),
    )
    if found is None:
        path = os.path.join(cwd, command)
        if os.sep in command and os.path.isdir(path):
            raise LaunchError(f"{command} is a folder", 126)
        if os.sep in command and os.path.exists(path):
            raise LaunchError(f"permission denied: {command} is not executable", 126)
        hint = like(command, environment)
        if command.endswith(".py") and os.path.exists(path):
            hint = f": did you mean `python {command}`?"
        raise LaunchError(f"command not found: {command}{hint}", 127)
    script = python_script(argv)
    if script is not None:
        path = os.path.join(cwd, script)
        if not os.path.exists(path):
            raise LaunchError(
                f"script not found: {script} (in {cwd}){meant(path, cwd)}", 2
            )
        if not os.access(path, os.R_OK):
            raise LaunchError(f"permission denied: {script} cannot be read", 2)
    return found


def meant(path: str, cwd: str) -> str:
    """The file that `path`, which is not there, probably means; "" without one."""
    from trainwatch.runner.accidents.place import nearby

    found = nearby(os.path.basename(path), Path(os.path.dirname(path)), most=1)
    return f": did you mean {os.path.relpath(found[0], cwd)}?" if found else ""


def like(command: str, environment: Mapping[str, str]) -> str:
    """The program that a mistyped command probably means; "" without one."""
    from trainwatch.runner.accidents.place import program_like

    found = program_like(command, environment.get("PATH", ""))
    return f": did you mean {found}?" if found else ""


def unstarted(program: str, name: str) -> str:
    """What in its first line keeps a script from starting; "" where nothing does."""
    from trainwatch.runner.accidents.script import read
    from trainwatch.runner.accidents.shellscript import first_line

    script = read(Path(program), name)
    slip = first_line(script.text, name) if script is not None else None
    return f": {slip.summary}. {slip.do}" if slip is not None else ""


def python_script(argv: Sequence[str]) -> str | None:
    """The script in `python [options] script.py …`, None for any other command."""
    program = os.path.basename(argv[0])
    if not program.startswith(("python", "pypy")):
        return None
    takes_value = ("-W", "-X", "--check-hash-based-pycs")
    words = iter(argv[1:])
    for word in words:
        if word in takes_value:
            next(words, None)
        elif word.startswith(("-c", "-m")) or word == "-":
            return None
        elif not word.startswith("-"):
            return word
    return None


def default_name(argv: Sequence[str]) -> str:
    """`python a/train.py --lr 1` -> "train"; the program's name without a script."""
    script = python_script(argv)
    if script is None:
        script = next((word for word in argv[1:] if word.endswith(".py")), argv[0])
    return Path(script).stem or "run"


def _arm(environment: dict[str, str], folder: Path) -> None:
    before = environment.get("PYTHONPATH")
    here = os.fspath(stage())
    environment["PYTHONPATH"] = f"{here}{os.pathsep}{before}" if before else here
    environment["TRAINWATCH_SOCKET"] = sockets.address(folder, EVENTS_SOCKET)
    environment["TRAINWATCH_RUN"] = os.fspath(folder)


def _open_terminal(size: tuple[int, int]) -> tuple[int, int]:
    """A new terminal: the end that is read, and the child's."""
    master, slave = pty.openpty()
    set_size(master, size)
    unchanged_output(slave)
    return master, slave


def _spawn(
    command: Command,
    output: int,
    folder: Path,
    listeners: tuple[socket.socket, socket.socket],
    notify: str,
) -> None:
    """
    Fork the supervisor, which forks the keeper, which starts the child.

    Args:
        command: what `Keeper.start` takes.
        output: where the child's output is read; for a terminal its master side.
        folder: the run directory.
        listeners: the event and the control socket.
        notify: a shell line that is told when a person is needed.

    Raises:
        LaunchError: the child could not be executed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    program, argv, cwd, environment, slave, stdin = command
    if stdin is not None:
        stdin = os.dup(stdin)
    report_from, report_to = os.pipe()
    between = os.fork()
    if between == 0:
        # Fork twice, so that the supervisor is nobody's zombie.
        _detach(report_from, folder)
        if notify:
            # It may hold a secret, so it is on no disk; our processes inherit it.
            os.environ[NOTIFY] = notify
        if os.fork():
            os._exit(0)
        link, keeper_link = socket.socketpair()
        keeper = os.fork()
        if keeper == 0:
            os.setsid()
            link.close()
            _keep(
                Keeper(folder, output, listeners, keeper_link),
                (program, argv, cwd, environment, slave, stdin),
                report_to,
            )
        os.close(report_to)
        os.close(slave)
        keeper_link.close()
        exec_process(
            "trainwatch.runner.supervisor",
            folder,
            fds=(output, listeners[0].fileno(), listeners[1].fileno(), link.fileno()),
            words=(str(keeper), "0", ""),
        )
    os.waitpid(between, 0)
    for descriptor in (output, slave, report_to, stdin):
        if descriptor is not None:
            os.close(descriptor)
    for listener in listeners:
        listener.close()
    with os.fdopen(report_from, "rb") as report:
        answer = report.read()
    if not answer:
        raise LaunchError("the keeper ended before the command started")
    result = json.loads(answer)
    if "errno" in result:
        reason = os.strerror(result["errno"])
        code = 127 if result["errno"] == errno.ENOENT else 126
        raise LaunchError(f"{argv[0]}: {reason}{unstarted(program, argv[0])}", code)


def _detach(report_from: int, folder: Path) -> None:
    os.close(report_from)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir(folder)
    null = os.open(os.devnull, os.O_RDONLY)
    errors = os.open("supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(errors, 1)
    os.dup2(errors, 2)


def _keep(
    keeper: Keeper,
    command: Command,
    report_to: int,
) -> NoReturn:
    code = 70
    try:
        try:
            child = keeper.start(*command)
        except OSError as error:
            os.write(report_to, json.dumps({"errno": error.errno}).encode())
            os._exit(0)
        os.write(report_to, json.dumps({"child": child}).encode())
        os.close(report_to)
        keeper.tell({"child": child})
        keeper.run()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def process_words(module: str) -> list[str]:
    """
    The command line of one of our own processes.

    `-c` with the package's folder put in place of the current one: a folder
    called `trainwatch` where the user works must not win.
    """
    import trainwatch

    path = os.fspath(Path(trainwatch.__file__).parent.parent)
    return [sys.executable, "-c", _BOOT.format(path=path, module=module)]


def exec_process(
    module: str, folder: Path, *, fds: Sequence[int], words: Sequence[str] = ()
) -> NoReturn:
    """Become `module`'s main, keeping `fds` open; never returns."""
    for descriptor in fds:
        os.set_inheritable(descriptor, True)
    try:
        os.execv(
            sys.executable,
            [
                *process_words(module),
                os.fspath(folder),
                ",".join(str(descriptor) for descriptor in fds),
                *words,
            ],
        )
    finally:
        os._exit(70)


def set_size(terminal: int, size: tuple[int, int]) -> None:
    """Set rows and columns of a terminal; its foreground processes are told."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def echo(terminal: int) -> str:
    """Whether a terminal shows what is typed: "on", "off", or "" for a pipe."""
    import termios

    try:
        modes = termios.tcgetattr(terminal)
    except termios.error:
        return ""
    return "on" if modes[3] & termios.ECHO else "off"


def unchanged_output(terminal: int) -> None:
    """Stop the terminal from writing "\\r\\n" for "\\n": the log holds the
    child's bytes as they were written."""
    import termios

    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.ONLCR
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
