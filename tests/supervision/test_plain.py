"""Plain mode: in a terminal, in a pipe, under CI; what goes in and what comes out."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

import pexpect
import pytest

from support.runs import (
    Trainwatch,
    console,
    facts,
    only_run,
    over,
    supervised,
    until,
)

PLAIN = ["-m", "trainwatch", "run", "--plain", "--", sys.executable, "-c"]


@pytest.fixture
def terminal(trainwatch: Trainwatch) -> Iterator[object]:
    """`terminal(code)` runs it by `trainwatch run --plain` in a terminal."""
    opened: list[pexpect.spawn] = []

    def start(code: str, words: list[str] = PLAIN) -> pexpect.spawn:
        screen = pexpect.spawn(
            sys.executable,
            [*words, code],
            cwd=str(trainwatch.cwd),
            timeout=30,
            encoding="utf-8",
            dimensions=(24, 80),
        )
        opened.append(screen)
        return screen

    yield start
    for screen in opened:
        screen.close(force=True)


# --- a terminal ---


def test_typed_lines_and_the_end_of_input_reach_the_child(terminal) -> None:
    screen = terminal(
        "import sys\n"
        "name = input('name? ')\n"
        "rest = sys.stdin.read()\n"
        "print('got', name, repr(rest))"
    )
    screen.expect_exact("| name? ")
    screen.sendline("ada")
    screen.sendline("one")
    screen.sendline("two")
    screen.sendeof()
    screen.expect_exact("| got ada 'one\\ntwo\\n'")
    screen.expect_exact("run finished")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0


def test_a_password_is_not_seen(terminal) -> None:
    screen = terminal(
        "import getpass\n"
        "word = getpass.getpass('password: ')\n"
        "again = input('again, seen: ')\n"
        "print('right' if word == 'rosebud' else 'wrong', again)"
    )
    screen.expect_exact("| password: ")
    screen.sendline("rosebud")
    screen.expect_exact("again, seen: ")
    assert "rosebud" not in screen.before
    screen.sendline("visible")
    screen.expect_exact("| right visible")
    screen.expect(pexpect.EOF)


def test_ctrl_c_reaches_the_child_and_not_us(terminal) -> None:
    screen = terminal(
        "import time\n"
        "print('up', flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('caught', flush=True)\n"
        "time.sleep(60)"
    )
    screen.expect_exact("| up")
    screen.sendintr()
    screen.expect_exact("| caught")
    screen.sendintr()
    screen.expect_exact("KeyboardInterrupt")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 128 + signal.SIGINT


def test_the_size_is_ours_and_follows(terminal) -> None:
    screen = terminal(
        "import os, signal, time\n"
        "def tell(*_): print('size', *os.get_terminal_size(), flush=True)\n"
        "signal.signal(signal.SIGWINCH, tell)\n"
        "tell()\n"
        "time.sleep(30)"
    )
    screen.expect_exact("| size 80 24")
    screen.setwinsize(33, 99)
    screen.expect_exact("| size 99 33")


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_of_a_machine_gets_plain_lines(
    terminal, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    words = [word for word in PLAIN if word != "--plain"]
    screen = terminal(r"print('\x1b[32mgreen\x1b[0m')", words)
    screen.expect(pexpect.EOF)
    assert "| green" in screen.before
    assert "\x1b" not in screen.before


# --- pipes ---


def piped(trainwatch: Trainwatch, data: bytes, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "trainwatch", "run", *words],
        cwd=trainwatch.cwd,
        input=data,
        stdout=subprocess.PIPE,
        timeout=40,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def test_what_is_piped_in_reaches_the_child_whole(trainwatch: Trainwatch) -> None:
    """Lines longer than a terminal takes, and an end that stays the end."""
    data = b"y\n" + b"x" * 100_000 + b"\n"
    code = (
        "import sys, hashlib\n"
        "print('isatty', sys.stdin.isatty(), sys.stdout.isatty())\n"
        "data = sys.stdin.buffer.read()\n"
        "print('sha', hashlib.sha256(data).hexdigest())\n"
        "input()"
    )
    rc, out = piped(trainwatch, data, "--plain", "--", sys.executable, "-c", code)
    assert "| isatty False True" in out
    assert f"| sha {hashlib.sha256(data).hexdigest()}" in out
    assert "| EOFError" in out
    assert rc == 1


def test_without_a_terminal_bytes_are_kept_as_written(trainwatch: Trainwatch) -> None:
    data = random.Random(5).randbytes(300_000)
    code = (
        "import sys, os\n"
        "assert not any(os.isatty(n) for n in (0, 1, 2))\n"
        "try: os.open('/dev/tty', os.O_RDWR)\n"
        "except OSError: pass\n"
        "else: raise SystemExit('a controlling terminal')\n"
        "data = sys.stdin.buffer.read()\n"
        "sys.stdout.buffer.write(data[:200_000]); sys.stdout.flush()\n"
        "sys.stderr.buffer.write(data[200_000:]); sys.stderr.flush()\n"
        "sys.exit(7)"
    )
    rc, _ = piped(
        trainwatch, data, "--plain", "--no-pty", "--", sys.executable, "-c", code
    )
    assert rc == 7
    kept = console(only_run(trainwatch.home))
    assert hashlib.sha256(kept).hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_detached_run_without_a_terminal_reads_nothing(
    trainwatch: Trainwatch,
) -> None:
    code = "import sys; print(repr(sys.stdin.read()))"
    folder = trainwatch.start(code, "--no-pty")
    assert over(folder)["exit_code"] == 0
    assert console(folder) == b"''\n"


def test_a_run_without_a_terminal_survives_our_death(trainwatch: Trainwatch) -> None:
    code = (
        "import time, sys\n"
        "for n in range(40): print('line', n, flush=True); time.sleep(0.1)\n"
        "sys.exit(3)"
    )
    folder = trainwatch.start(code, "--no-pty")
    supervised(folder)
    for who in ("supervisor", "keeper"):
        victim = facts(folder)[who]
        os.kill(victim, signal.SIGKILL)
        until(lambda: facts(folder)[who] != victim, f"another {who}")  # noqa: B023
    over(folder)
    assert console(folder).count(b"line") == 40


def test_a_flood_of_short_lines_is_printed_whole(trainwatch: Trainwatch) -> None:
    code = "for n in range(50_000): print(n)"
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    shown = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert shown == [f"| {n}" for n in range(50_000)]


def test_a_bar_is_one_line_and_a_question_is_shown(trainwatch: Trainwatch) -> None:
    code = (
        "import time\n"
        "for n in range(101): print(f'\\r{n:3}%|', end='', flush=True)\n"
        "time.sleep(1)\n"
        "print()\n"
        "print('Enter your choice: ', end='', flush=True)\n"
        "time.sleep(1)\n"
        "print('3')"
    )
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    shown = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert shown == ["| 100%|", "| Enter your choice: ", "| Enter your choice: 3"]


def test_streams_that_are_closed_are_no_trouble(trainwatch: Trainwatch) -> None:
    """As a daemon starts us: `<&- >&- 2>&-`."""
    started = subprocess.run(
        f"exec '{sys.executable}' {' '.join(PLAIN)} "
        "'import sys; print(repr(sys.stdin.read())); sys.exit(6)' <&- >&- 2>&-",
        shell=True,
        cwd=trainwatch.cwd,
        timeout=40,
        check=False,
    )
    assert started.returncode == 6
    assert console(only_run(trainwatch.home)) == b"''\n"
