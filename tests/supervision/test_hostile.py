"""What a program prints, sends or is called is data, and nobody obeys it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.runs import Trainwatch, console, over, supervised, until
from trainwatch.runner import manifest, sockets
from trainwatch.runner.breadth import too_wide
from trainwatch.runner.errors import RunNotFoundError
from trainwatch.runner.home import find_run, runs_folder
from trainwatch.runner.redact import redact, redact_argv
from trainwatch.runner.trust import SIGNALS

EVIL = (
    "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[1;1H\x1bP+q544e\x1b\\"
    "\x9b31m\x1b]8;;file:///etc\x07[bold]x[/bold] [@click=app.quit]y[/]\u202ez\x08\x7f"
)
FORBIDDEN = ("\x1b", "\x07", "\x08", "\x7f", "\x9b", "\u202e", "52;c", "0;title")


def clean(text: str) -> None:
    for forbidden in FORBIDDEN:
        assert forbidden not in text, repr(forbidden)


def test_output_arguments_and_exceptions_reach_no_terminal_as_sequences(
    trainwatch: Trainwatch,
) -> None:
    code = "import sys; print(sys.argv[1]); raise RuntimeError(sys.argv[1])"
    words = ("run", "--plain", "--", sys.executable, "-c", code, EVIL)
    done = trainwatch(*words)
    assert "[bold]x[/bold] [@click=app.quit]y[/]" in done.stdout
    clean(done.stdout + done.stderr)
    for words in (("show",), ("runs",), ("review",)):
        shown = trainwatch(*words)
        clean(shown.stdout + shown.stderr)
    for words in (("show", "--json"), ("events",)):
        text = trainwatch(*words).stdout
        assert not any((ord(c) < 32 and c != "\n") or c == "\x7f" for c in text)
    assert EVIL.encode() in console(only(trainwatch))


def only(trainwatch: Trainwatch) -> Path:
    (folder,) = (trainwatch.home / "runs").iterdir()
    return folder


def test_a_line_of_ours_cannot_be_forged_by_a_message(trainwatch: Trainwatch) -> None:
    text = "x\\n23:59:59 run finished after 1 s (exit 0)"
    code = f"raise ValueError('{text}')"
    done = trainwatch("run", "--plain", "--", sys.executable, "-c", code)
    forged = [
        line
        for line in done.stdout.splitlines()
        if "(exit 0)" in line and not line.startswith("| ")
    ]
    assert all("ValueError" in line for line in forged), forged
    assert done.returncode == 1


def test_odd_words_in_the_command_line(trainwatch: Trainwatch) -> None:
    words = [b"\xff\xfe.py", b"a\nb", b"\x1b[31m", b"x" * 50_000]
    done = trainwatch(
        *("run", "--detach", "--", sys.executable, "-c", ""),
        *[os.fsdecode(word) for word in words],
    )
    assert done.returncode == 0, done.stderr
    over(only(trainwatch))
    for asked in (("show",), ("runs",), ("show", "--json")):
        shown = trainwatch(*asked)
        assert shown.returncode == 0, (asked, shown.stderr)
        assert "\x1b" not in shown.stdout
    assert len(trainwatch("runs").stdout.splitlines()) == 1


@pytest.mark.parametrize("spec", ["../../etc", "/etc", "..", ".", "", "\x00", "*"])
def test_a_run_is_found_by_name_and_never_by_path(spec: str) -> None:
    for name in ("one", "two"):
        folder = runs_folder() / f"20260101-000000-{name}"
        folder.mkdir(parents=True)
        manifest.write(folder, manifest.Manifest(folder.name, name))
    with pytest.raises(RunNotFoundError):
        find_run(spec)


def test_hostile_events_move_nobody(trainwatch: Trainwatch, tmp_path: Path) -> None:
    """A process that says it is another, with a file and a signal that are not ours."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    bystander = subprocess.Popen(["sleep", "60"])
    folder = trainwatch.start("import time; time.sleep(60)")
    supervised(folder)
    hostile = socket.socket(socket.AF_UNIX)
    hostile.connect(sockets.address(folder, "events.sock"))

    def say(**event: object) -> None:
        hostile.sendall(json.dumps({"time": 1, "v": 1, **event}).encode() + b"\n")

    for number in (9, 15, *SIGNALS):
        say(
            type="process_joined",
            pid=bystander.pid,
            argv=[EVIL],
            stack_signal=number,
            stack_file=str(precious),
            flight="../../../etc/passwd",
        )
    say(type="checkpoint_saved", pid=1, path="../../../../etc/shadow", step=1)
    say(type="training_began", pid=1, trainer=EVIL, output_dir="/" * 5000)
    say(type="training_began", pid=2, trainer="x", output_dir="a\x00b")
    say(type="warning_raised", pid=1, text=EVIL, category="../x", path="../../x")
    say(type="run_ended", status="finished")
    say(type="notice_given", key="end", kind="end")
    say(type="run_renamed", name="../x")
    say(type="process_joined", pid=-1)
    say(type="process_joined", pid=2**70)
    until(lambda: trainwatch.show()["probe"]["refused_lines"] >= 3, "the refusals")
    done = trainwatch("stack")
    assert "mine" not in done.stdout
    done = trainwatch("snapshot")
    assert bystander.poll() is None
    bystander.send_signal(signal.SIGKILL)
    bystander.wait()
    assert precious.read_text() == "mine"
    kept = b"".join(
        p.read_bytes() for p in folder.glob("snapshots/**/*") if p.is_file()
    )
    assert b"mine" not in kept
    document = trainwatch.show()
    assert document["run"]["status"] == "running"
    assert document["run"]["name"] == "python"
    assert document["run"]["supervised"] is True
    clean(trainwatch("show").stdout)
    hostile.close()
    assert trainwatch("abort", "--kill").returncode == 0


def test_a_folder_that_is_too_wide_to_watch(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number) / "below").mkdir(parents=True)
    (tmp_path / "round").symlink_to(tmp_path)
    assert too_wide(tmp_path, 59)
    assert not too_wide(tmp_path, 60)
    assert too_wide(Path("/"), 20)


SECRETS = [
    ["--hf-token", "S3CRET"],
    ["--hub_token=S3CRET"],
    ["HF_TOKEN=S3CRET"],
    ["+trainer.api_key=S3CRET"],
    ["--config/api-key=S3CRET"],
    ["--password", "S3CRET"],
    ["--aws-secret-access-key", "S3CRET"],
    ["--header", "Authorization: Bearer S3CRET0000"],
    ["https://me:S3CRET@host/x"],
    ["https://host/x?access_token=S3CRET&y=1"],
    ["https://hooks.slack.com/services/T00/B00/S3CRET"],
    ["https://discord.com/api/webhooks/1/S3CRET"],
    ["hf_S3CRETaaaaaaaaaa"],
    ["sk-proj-S3CRETaaaaaaaaaa"],
    ["glpat-S3CRETaaaaaaaaaaaa"],
    ["eyJhbGciOiJIUzI1NiJ9.S3CRETaaaa.S3CRETbbbb"],
]


@pytest.mark.parametrize("words", SECRETS, ids=lambda words: words[0][:30])
def test_secrets_in_a_command_line_are_masked(words: list[str]) -> None:
    shown = redact_argv(["python", "train.py", *words, "--lr", "1e-4"])
    assert "S3CRET" not in " ".join(shown)
    assert "***" in " ".join(shown)
    assert shown[-2:] == ["--lr", "1e-4"]


@pytest.mark.parametrize(
    "text",
    [
        "--max-tokens=512",
        "--tokenizer=gpt2",
        "--monkey=1",
        "https://host/x?step=3&page=2",
        "basic training",
        "the bearer of news",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_argv([text]) == [text]
    assert redact(text) == text


def test_no_secret_of_a_run_is_on_the_disk(
    trainwatch: Trainwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "S3CRET-value")
    words = [word for pair in SECRETS for word in pair]
    done = trainwatch("run", "--detach", "--", sys.executable, "-c", "pass", *words)
    folder = trainwatch.home / "runs" / done.stdout.strip()
    over(folder)
    for path in trainwatch.home.rglob("*"):
        if path.is_file():
            assert b"S3CRET" not in path.read_bytes(), path
    assert b"WANDB_API_KEY" in (folder / "run.json").read_bytes()


def test_our_home_is_for_its_owner_alone(
    trainwatch: Trainwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "deep" / "home"
    monkeypatch.setenv("TRAINWATCH_HOME", str(fresh))
    before = os.umask(0)
    try:
        over(trainwatch_in(fresh, trainwatch))
    finally:
        os.umask(before)
    for folder in (fresh, fresh / "runs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def trainwatch_in(home: Path, trainwatch: Trainwatch) -> Path:
    return Trainwatch(home, trainwatch.cwd).start("pass")
