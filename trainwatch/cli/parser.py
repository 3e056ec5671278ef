"""Which words mean what. No command is imported until it is chosen."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module

from trainwatch.runner.ladder import GRACE_S

Command = Callable[[argparse.Namespace], int]

RUN_HELP = "id, unique prefix of one, name, or last (the default)"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options, with `command` the function to call. Exits 2 on wrong usage."""
    words = list(words)
    parser = build()
    command: list[str] = []
    if words[:1] == ["run"]:
        words, command = split_command(words)
    options = parser.parse_args(words)
    if words[:1] == ["run"]:
        if not command:
            parser.error("run: which command? trainwatch run -- python train.py")
        options.argv = command
    return options


FLAGS_WITH_VALUE = ("--name", "--notify", "--grace")


def split_command(words: list[str]) -> tuple[list[str], list[str]]:
    """
    Our own words of `run …` and the user's command: what follows `--`, or begins
    with the first word that is no option of ours.
    """
    index = 1
    while index < len(words):
        word = words[index]
        if word == "--":
            return words[:index], words[index + 1 :]
        if not word.startswith("-"):
            return words[:index], words[index:]
        index += 2 if word in FLAGS_WITH_VALUE else 1
    return words, []


def build() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trainwatch",
        description="Watch a fine-tuning run in a terminal, and be told the truth "
        "about it. Without a command: the runs, the launcher, the demo.",
        epilog="Put it in front of the command you already use: "
        "trainwatch run -- python train.py",
    )
    parser.add_argument("-V", "--version", action="version", version=_version())
    parser.set_defaults(command=_lazy("app", "home"))
    add = parser.add_subparsers(title="commands", metavar="COMMAND")

    run = add.add_parser("run", help="start a command and watch it")
    run.usage = "trainwatch run [options] [--] CMD …"
    run.add_argument("--name", help="what to call the run")
    run.add_argument("--detach", action="store_true", help="start it and leave")
    run.add_argument("--plain", action="store_true", help="print lines, no screen")
    run.add_argument(
        "--grace",
        type=_seconds,
        default=GRACE_S,
        metavar="S",
        help="on SIGTERM: save and end the run within S seconds (30)",
    )
    run.add_argument(
        "--no-pty", action="store_true", help="give the command pipes, no terminal"
    )
    run.add_argument(
        "--notify",
        metavar="CMD",
        help="run CMD, with JSON on its stdin, when the run ends or needs you",
    )
    run.add_argument("--no-probes", action="store_true", help="watch from outside only")
    run.set_defaults(command=_lazy("run", "run"))

    demo = add.add_parser("demo", help="a real run with nothing downloaded")
    demo.add_argument(
        "which", nargs="?", default="lora", help="lora, dpo, partial or plain"
    )
    demo.add_argument("--steps", type=int, help="how many optimizer steps")
    demo.add_argument("--detach", action="store_true", help="start it and leave")
    demo.add_argument("--plain", action="store_true", help="print lines, no screen")
    demo.set_defaults(command=_lazy("run", "demo"))

    attach = add.add_parser("attach", help="watch a run that was started before")
    _takes_run(attach)
    attach.add_argument("--plain", action="store_true", help="print lines, no screen")
    attach.add_argument(
        "--read-only", action="store_true", help="look, without the hands"
    )
    attach.set_defaults(command=_lazy("app", "attach"))

    adopt = add.add_parser("adopt", help="look from outside at a process that runs")
    adopt.add_argument("pid", type=_count, metavar="PID", help="the process")
    adopt.add_argument("--name", help="what to call the run")
    adopt.add_argument("--detach", action="store_true", help="begin, and leave")
    adopt.add_argument("--plain", action="store_true", help="print lines, no screen")
    adopt.add_argument(
        "--notify", metavar="CMD", help="run CMD when it ends or needs you"
    )
    adopt.set_defaults(command=_lazy("adopt", "adopt"))

    runs = add.add_parser("runs", help="list the runs")
    _takes_json(runs)
    runs.set_defaults(command=_lazy("inspect", "runs"))

    rename = add.add_parser("rename", help="call a run something else")
    rename.add_argument("run", metavar="RUN", help=RUN_HELP)
    rename.add_argument("name", metavar="NAME", help="the new name")
    rename.set_defaults(command=_lazy("shelf", "rename"))

    remove = add.add_parser("remove", help="delete a run that is over; asks first")
    remove.add_argument("run", metavar="RUN", help=RUN_HELP)
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(command=_lazy("shelf", "remove_run"))

    prune = add.add_parser("prune", help="delete all but the newest runs; asks first")
    prune.add_argument(
        "--keep",
        type=_count,
        required=True,
        metavar="N",
        help="how many runs that are over stay; one that lives always does",
    )
    prune.add_argument("--yes", action="store_true", help="do not ask")
    prune.set_defaults(command=_lazy("shelf", "prune"))

    show = add.add_parser("show", help="the state of one run and the verdict")
    _takes_run(show)
    _takes_json(show)
    show.set_defaults(command=_lazy("inspect", "show"))

    events = add.add_parser("events", help="the events of a run, as they are kept")
    _takes_run(events)
    events.add_argument("--follow", action="store_true", help="wait for more")
    events.add_argument("--type", help="only events of this type")
    events.set_defaults(command=_lazy("inspect", "events"))

    abort = add.add_parser("abort", help="finish the running step, save, then stop")
    _takes_run(abort)
    how = abort.add_mutually_exclusive_group()
    how.add_argument("--now", action="store_true", help="end it now (SIGTERM)")
    how.add_argument(
        "--tree", action="store_true", help="and all that it started (SIGTERM)"
    )
    how.add_argument("--kill", action="store_true", help="kill it and all its children")
    abort.add_argument(
        "--grace",
        type=_seconds,
        metavar="S",
        help="climb from rung to rung, so that it has ended after S seconds",
    )
    abort.set_defaults(command=_lazy("hands", "abort"))

    snapshot = add.add_parser(
        "snapshot", help="checkpoint at the next step boundary, stacks, memory"
    )
    _takes_run(snapshot)
    snapshot.add_argument("--wait", type=float, metavar="S", help="wait S seconds")
    snapshot.add_argument(
        "--again", action="store_true", help="also within a minute of the last one"
    )
    snapshot.set_defaults(command=_lazy("hands", "snapshot"))

    stack = add.add_parser("stack", help="where every thread of every process is")
    _takes_run(stack)
    stack.set_defaults(command=_lazy("hands", "stack"))

    review = add.add_parser("review", help="the warnings of a run, triaged")
    _takes_run(review)
    _takes_json(review)
    review.add_argument(
        "-o", dest="output", metavar="FILE", help="write them to FILE.md or FILE.json"
    )
    review.set_defaults(command=_lazy("warnings", "review"))

    triage = add.add_parser("triage", help="triage the warnings of any log")
    triage.add_argument("file", nargs="?", default="-", help="a file, or - for stdin")
    _takes_json(triage)
    triage.add_argument(
        "--items", action="store_true", help="one JSON item a line, in and out"
    )
    triage.set_defaults(command=_lazy("warnings", "triage"))

    _add_fit(add.add_parser("fit", help="does a training fit, before anything runs"))

    doctor = add.add_parser(
        "doctor", help="versions that do not fit together, and this machine"
    )
    doctor.add_argument(
        "--python", metavar="PATH", help="the Python to look at; else `python`"
    )
    _takes_json(doctor)
    doctor.set_defaults(command=_lazy("doctor", "doctor"))
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than nothing")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument(
        "model",
        metavar="MODEL",
        help="a folder, a config.json, a known shape (llama-3-8b) or numbers "
        "(llama:hidden=4096,layers=32,heads=32,kv=8,ffn=14336,vocab=128256)",
    )
    fit.add_argument("--method", default="lora", help="lora (default), partial, full")
    fit.add_argument("--rank", type=int, default=16, metavar="R", help="of LoRA")
    fit.add_argument(
        "--targets",
        default="q_proj,k_proj,v_proj,o_proj",
        help="of LoRA, with commas, or all-linear",
    )
    fit.add_argument(
        "--layers", type=int, default=1, metavar="N", help="partial: the last N"
    )
    fit.add_argument("--lm-head", action="store_true", help="partial: and lm_head")
    fit.add_argument("--batch", type=int, default=1, metavar="B")
    fit.add_argument("--seq", type=int, default=1024, metavar="S")
    fit.add_argument("--dtype", help="bf16, fp16, fp32; else the config's own")
    fit.add_argument(
        "--optimizer",
        default="adamw-fused",
        metavar="O",
        help="adamw-fused (default), adamw, adamw-for-loop, adamw-foreach, sgd, "
        "sgd-momentum, adafactor, adafactor-torch, rmsprop, adagrad",
    )
    fit.add_argument("--accumulate", type=int, default=1, metavar="A")
    fit.add_argument("--gradient-checkpointing", action="store_true")
    fit.add_argument(
        "--trainer",
        default="hf",
        help="hf (default): Trainer's loss; trl: SFTTrainer's, in chunks",
    )
    fit.add_argument(
        "--device",
        action="append",
        help="mps:36GB, cuda:24GB, cpu, auto; several with commas; "
        "else this machine and the usual ones",
    )
    fit.add_argument(
        "--no-changes", action="store_true", help="do not look for what would fit"
    )
    fit.add_argument(
        "--python", metavar="PATH", help="the Python that has torch and transformers"
    )
    _takes_json(fit)
    fit.set_defaults(command=_lazy("fit", "fit"))


def _takes_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", default="last", metavar="RUN", help=RUN_HELP)


def _takes_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _lazy(module: str, function: str) -> Command:
    def command(options: argparse.Namespace) -> int:
        chosen = getattr(import_module(f"trainwatch.cli.{module}"), function)
        return int(chosen(options))

    return command


def _version() -> str:
    from trainwatch import __version__

    return f"trainwatch {__version__}"
