"""`i` gives the keyboard to the program, and ctrl+] gives the screen back."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from support.runs import Trainwatch, console, facts, only_run, over, until
from support.screen import Screen

LEAVE = "\x1d"

CHOICE = """\
answer = input("Enter your choice: ")
print("you chose", answer, flush=True)
input("and now? ")
"""


def app(tmp_path: Path, code: str, rows: int = 40, columns: int = 120) -> Screen:
    """The run screen of a program in a terminal, ready for keys."""
    script = tmp_path / "ask.py"
    script.write_text(code)
    words = ("run", "--", sys.executable, str(script))
    screen = Screen(*words, cwd=tmp_path, rows=rows, columns=columns)
    screen.wait_for("Console", "Phase")
    return screen


def test_an_answer_reaches_the_program_and_the_screen_comes_back(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    screen = app(tmp_path, CHOICE)
    before = screen.wait_for("Enter your choice:", "Console")
    screen.press("i")
    shown = screen.wait_for(
        "ask has the keyboard", "ctrl+] takes it back", "Enter your choice:"
    )
    assert "Enter your choice:" in shown
    assert "Console" not in shown
    screen.press("3\r")
    screen.wait_for("you chose 3", "and now?")
    screen.press(LEAVE)
    after = screen.wait_for("Console", "you chose 3", "keyboard done", "given back")
    assert "has the keyboard" not in after
    assert _frame(after) == _frame(before)
    screen.press("q")
    assert screen.wait_end() == 0
    folder = only_run(trainwatch.home)
    assert facts(folder)["status"] == "running"
    (asked,) = trainwatch.show()["commands"]
    assert (asked["command"], asked["outcome"]) == ("keyboard", "done")


def test_breakpoint_can_be_used_to_the_end(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    code = "loss = 2.5\nbreakpoint()\nprint('after', loss, flush=True)\n"
    screen = app(tmp_path, code)
    screen.wait_for("(Pdb)")
    screen.press("i")
    screen.wait_for("has the keyboard", "(Pdb)")
    screen.press("p loss * 4\r")
    screen.wait_for("10.0")
    screen.press("loss = 7\r")
    screen.press("c\r")
    shown = screen.wait_for("FINISHED", "after 7")
    assert "has the keyboard" not in shown
    screen.press("q")
    assert screen.wait_end() == 0
    assert b"after 7" in console(only_run(trainwatch.home))


def test_a_password_is_taken_and_not_shown(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    code = "import getpass\nprint(len(getpass.getpass('token: ')), 'letters')\n"
    screen = app(tmp_path, code)
    screen.wait_for("token:")
    screen.press("i")
    screen.wait_for("has the keyboard")
    screen.press("hunter2\r")
    screen.wait_for("FINISHED", "7 letters")
    assert b"hunter2" not in screen.written
    assert b"hunter2" not in console(only_run(trainwatch.home))


def test_ctrl_c_goes_to_the_program(trainwatch: Trainwatch, tmp_path: Path) -> None:
    code = (
        "import time\n"
        "try:\n"
        "    print('sleeping', flush=True)\n"
        "    time.sleep(300)\n"
        "except KeyboardInterrupt:\n"
        "    input('interrupted, go on? ')\n"
    )
    screen = app(tmp_path, code)
    screen.wait_for("sleeping")
    screen.press("i")
    screen.wait_for("has the keyboard")
    screen.press("\x03")
    screen.wait_for("interrupted, go on?")
    screen.press("\r")
    assert over(only_run(trainwatch.home))["exit_code"] == 0


def test_one_holds_it_and_the_other_is_told_who(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    first = app(tmp_path, CHOICE)
    first.wait_for("Enter your choice:")
    first.press("i")
    first.wait_for("has the keyboard")
    second = Screen("attach", cwd=tmp_path)
    second.wait_for("Console", "keyboard under way", "/dev/")
    second.press("i")
    shown = second.wait_for("keyboard refused", "the keyboard is with")
    assert "Console" in shown
    first.press("1\r")
    first.wait_for("you chose 1")
    # Whoever dies gives it back.
    first.process.close(force=True)
    until(
        lambda: trainwatch.show()["commands"][0]["outcome"] == "done",
        "the keyboard is free",
    )
    second.press("i")
    second.wait_for("has the keyboard", "and now?")
    second.press("2\r")
    assert over(only_run(trainwatch.home))["status"] == "finished"


def test_the_program_sees_this_terminals_size(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    code = (
        "import os\n"
        "while input('size? ') != 'q':\n"
        "    print('%dx%d' % tuple(os.get_terminal_size()), flush=True)\n"
    )
    screen = app(tmp_path, code)
    screen.wait_for("size?")
    back = Screen("attach", cwd=tmp_path, rows=40, columns=110)
    back.wait_for("size?")
    back.press("i")
    back.wait_for("has the keyboard")
    back.press("\r")
    back.wait_for("110x40")
    back.process.setwinsize(40, 100)
    _until_shown(back, "100x40")
    back.press(LEAVE)
    back.wait_for("Console")
    screen.press("i")
    screen.wait_for("has the keyboard")
    screen.press("\r")
    screen.wait_for("120x40")
    screen.press("q\r")
    assert over(only_run(trainwatch.home))["status"] == "finished"


def test_it_goes_on_when_the_supervisor_dies(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    screen = app(tmp_path, CHOICE)
    screen.wait_for("Enter your choice:")
    screen.press("i")
    screen.wait_for("has the keyboard")
    folder = only_run(trainwatch.home)
    before = until(lambda: facts(folder).get("supervisor"), "the supervisor")
    os.kill(before, signal.SIGKILL)
    until(lambda: facts(folder)["supervisor"] != before, "another supervisor")
    screen.press("9\r")
    screen.wait_for("you chose 9")
    screen.press(LEAVE)
    screen.wait_for("Console")


@pytest.mark.parametrize("length", [3000, 200_000])
def test_a_long_paste_arrives_whole(
    length: int, trainwatch: Trainwatch, tmp_path: Path
) -> None:
    code = (
        "import sys, termios, tty\n"
        "tty.setraw(0)\n"
        "print('ready\\r', flush=True)\n"
        "n = 0\n"
        f"while n < {length}:\n"
        "    n += len(sys.stdin.buffer.raw.read(65536))\n"
        "print('got', n, flush=True)\n"
    )
    screen = app(tmp_path, code)
    screen.wait_for("ready")
    screen.press("i")
    screen.wait_for("has the keyboard")
    for _ in range(0, length, 1000):
        screen.press("x" * 1000)
    assert over(only_run(trainwatch.home))["exit_code"] == 0
    assert f"got {length}".encode() in console(only_run(trainwatch.home))


def _frame(shown: str) -> list[str]:
    """Titles and frames of the panels, without what changes in them."""
    return [line[:8] for line in shown.splitlines() if line.startswith(("╭", "╰"))]


def _until_shown(screen: Screen, text: str) -> None:
    def asked() -> bool:
        screen.press("\r")
        return text in screen.text()

    until(asked, text)
