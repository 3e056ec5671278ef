"""
Programs that want the keyboard, or were taken away from it. `prompts.py CASE`;
nothing but Python is needed.
"""

from __future__ import annotations

import getpass
import os
import pdb
import signal
import subprocess
import sys
import time

from mark import begins, case, main

PYTHON = sys.executable


@case
def choice() -> None:
    """As wandb asks."""
    print("wandb: (1) Create a W&B account")
    print("wandb: (2) Use an existing W&B account")
    print("wandb: (3) Don't visualize my results")
    begins("")
    print("chosen", input("wandb: Enter your choice: "), flush=True)


@case
def yes_or_no() -> None:
    """The question is printed, the answer read from stdin."""
    begins("loading the model")
    sys.stdout.write("Run the custom code of this model? [y/N] ")
    sys.stdout.flush()
    sys.stdin.readline()


@case
def password() -> None:
    begins("logging in")
    getpass.getpass("Password for hub: ")


@case
def debugger() -> None:
    loss = float("nan")
    begins("loss is odd")
    if loss != loss:
        pdb.set_trace()
    print("went on")


@case
def post_mortem() -> None:
    """A debugger after an error."""
    begins("training")
    try:
        print(1 / 0)
    except ZeroDivisionError:
        pdb.post_mortem()


@case
def prompt_of_a_child() -> None:
    """A tool that the script starts asks."""
    begins("logging in")
    subprocess.run([PYTHON, "-c", "input('Token: ')"])


@case
def answered() -> None:
    """Goes on once the answer has come."""
    choice()
    for step in range(5):
        print("step", step, flush=True)
        time.sleep(1)


# --- stopped ---


@case
def stopped() -> None:
    """Stopped while it trains."""
    for step in range(3):
        print("step", step, flush=True)
        time.sleep(0.3)
    begins("stopping")
    os.kill(os.getpid(), signal.SIGSTOP)


@case
def background_terminal() -> None:
    """A child in a process group of its own sets the terminal: SIGTTOU stops it."""
    code = "import termios; termios.tcsetattr(0, 0, termios.tcgetattr(0))"
    begins("starting the helper")
    child = subprocess.Popen([PYTHON, "-c", code], preexec_fn=os.setpgrp)
    child.wait()


@case
def background_reader() -> None:
    """The same by reading from the terminal: SIGTTIN."""
    begins("starting the helper")
    code = "input('name: ')"
    child = subprocess.Popen([PYTHON, "-c", code], preexec_fn=os.setpgrp)
    child.wait()


if __name__ == "__main__":
    main()
