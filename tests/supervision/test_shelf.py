"""Renaming and removing runs; several viewers; links that lead out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from support.runs import Trainwatch, console, facts, over, supervised, until
from trainwatch.runner import manifest
from trainwatch.runner.errors import UsageError
from trainwatch.runner.home import run_folders, run_id, runs_folder
from trainwatch.runner.naming import checked, tidy


def kept(number: int, status: str = "finished") -> Path:
    """A run that is over, `number` hours ago, without having been one."""
    began = time.time() - 3600 * number
    folder = runs_folder() / run_id(began)
    folder.mkdir(parents=True)
    facts = manifest.Manifest(folder.name, f"run{number}", ["true"], status=status)
    manifest.write(folder, facts)
    (folder / "console.log").write_bytes(b"x" * 1000)
    return folder


# --- names ---


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "last",
        "../../etc",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "--json",
        "two\nlines",
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "a\u202eb",
        "a\x00b",
        "x" * 81,
        "\udcff",
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        checked(name)


@pytest.mark.parametrize("name", ["sft", "lr 2e-4, r=16", "größer 日本語", "x" * 80])
def test_what_is_a_name(name: str) -> None:
    assert checked(f" {name} ") == name
    assert tidy(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train", "train"),
        ("", "run"),
        ("last", "run"),
        ("..", "run"),
        ("a/../b", "a..b"),
        ("\x1b]0;evil\x07x", "x"),
        ("two\nlines", "twolines"),
        ("\udcff", "run"),
        ("y" * 500, "y" * 80),
    ],
)
def test_a_name_of_anything(text: str, name: str) -> None:
    assert tidy(text) == name
    assert checked(tidy(text)) == name


def test_a_bad_name_starts_nothing(trainwatch: Trainwatch) -> None:
    done = trainwatch("run", "--name", "../x", "--", sys.executable, "-c", "pass")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not list(trainwatch.home.glob("runs/*"))


def test_rename_a_run_that_lives_and_one_that_is_over(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("input()", "--name", "old")
    supervised(folder)
    done = trainwatch("rename", "old", "new one")
    assert done.returncode == 0, done.stderr
    assert facts(folder)["name"] == "new one"
    assert trainwatch.show("new one")["run"]["name"] == "new one"
    assert trainwatch("show", "old").returncode == 3
    assert trainwatch("abort", "new one", "--kill").returncode == 0
    assert over(folder)["name"] == "new one"
    assert trainwatch("rename", "last", "third").returncode == 0
    assert facts(folder)["name"] == "third"
    assert trainwatch.show("third")["run"]["name"] == "third"
    done = trainwatch("rename", "third", "../x")
    assert (done.returncode, facts(folder)["name"]) == (2, "third")
    listed = json.loads(trainwatch("runs", "--json").stdout)["runs"]
    assert [run["name"] for run in listed] == ["third"]


# --- removing ---


def test_remove_asks_and_takes_only_yes(trainwatch: Trainwatch) -> None:
    folder = kept(1)
    (folder / "snapshots" / "1").mkdir(parents=True)
    assert trainwatch("remove", "run1").returncode == 4
    for answer, gone in (("n", False), ("", False), ("yes", True)):
        screen = pexpect.spawn(
            sys.executable,
            ["-m", "trainwatch", "remove", "run1"],
            timeout=20,
            encoding="utf-8",
        )
        screen.expect_exact("run1  1.")
        screen.expect_exact("with 1 snapshot")
        screen.expect_exact("[y/N] ")
        screen.sendline(answer)
        screen.expect(pexpect.EOF)
        screen.close()
        assert screen.exitstatus == 0
        assert folder.exists() is not gone


def test_a_living_run_is_never_removed(trainwatch: Trainwatch) -> None:
    folder = trainwatch.start("input()")
    supervised(folder)
    for hours in (1, 2, 3):
        kept(hours)
    done = trainwatch("remove", folder.name, "--yes")
    assert done.returncode == 4
    assert "still going" in done.stderr
    done = trainwatch("prune", "--keep", "0", "--yes")
    assert "removed 3 runs" in done.stdout
    assert run_folders() == [folder]
    os.kill(facts(folder)["supervisor"], 9)
    os.kill(facts(folder)["keeper"], 9)
    until(lambda: trainwatch.show()["run"]["status"] == "lost", "lost")
    assert trainwatch("prune", "--keep", "0", "--yes").returncode == 0
    assert run_folders() == []


def test_prune_keeps_the_newest(trainwatch: Trainwatch) -> None:
    folders = [kept(hours) for hours in (1, 2, 3, 4, 5)]
    assert trainwatch("prune", "--keep", "5", "--yes").stdout.startswith("nothing")
    assert trainwatch("prune", "--keep", "2").returncode == 4
    done = trainwatch("prune", "--keep", "2", "--yes")
    assert done.stdout.startswith("removed 3 runs: ")
    assert run_folders() == folders[:2]
    assert trainwatch("prune", "--keep", "-1").returncode == 2


def test_what_a_link_leads_to_is_neither_removed_nor_written(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    manifest.write(outside, manifest.Manifest("x", "linked", status="running"))
    before = (outside / manifest.FILE).read_bytes()
    folder = kept(1)
    (folder.parent / "20200101-000000-abc").symlink_to(outside)
    (folder / "link").symlink_to(outside)
    (folder / "snapshots").symlink_to(outside)
    assert len(json.loads(trainwatch("runs", "--json").stdout)["runs"]) == 1
    assert trainwatch("remove", "linked", "--yes").returncode == 3
    assert trainwatch("remove", "20200101-000000-abc", "--yes").returncode == 3
    assert trainwatch("prune", "--keep", "0", "--yes").returncode == 0
    assert not folder.exists()
    assert (outside / "precious").read_text() == "mine"
    assert (outside / manifest.FILE).read_bytes() == before


def test_a_socket_that_is_a_link_takes_nothing_with_it(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """A run folder from elsewhere may hold any link in the place of a socket."""
    outside = tmp_path / "documents"
    outside.mkdir()
    (outside / "control.sock").write_text("mine")
    (outside / "precious").write_text("mine")
    folder = kept(1)
    (folder / "control.sock").symlink_to(outside / "control.sock")
    (folder / "events.sock").symlink_to(outside / "precious")
    assert trainwatch("remove", "last", "--yes").returncode == 0
    assert sorted(p.name for p in outside.iterdir()) == ["control.sock", "precious"]


def test_a_log_that_is_a_link_is_not_written(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """A reader that corrects a lost run must not append to another file."""
    outside = tmp_path / "precious"
    outside.write_text("mine")
    folder = kept(1, status="running")
    (folder / "events.jsonl").symlink_to(outside)
    (folder / "state.json").symlink_to(outside)
    trainwatch("runs")
    trainwatch("show")
    trainwatch("rename", "last", "other")
    assert outside.read_text() == "mine"


# --- several at once ---


def test_several_viewers_see_the_same_run(trainwatch: Trainwatch) -> None:
    code = (
        "import time\n"
        "for n in range(20): print('line', n, flush=True); time.sleep(0.1)\n"
        "raise SystemExit(3)"
    )
    folder = trainwatch.start(code)
    words = [sys.executable, "-m", "trainwatch", "attach", "--plain", folder.name]
    viewers = [
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    viewers[0].kill()
    viewers[0].communicate()
    shown = [viewer.communicate(timeout=40)[0] for viewer in viewers[1:]]
    assert [viewer.returncode for viewer in viewers[1:]] == [3, 3, 3]
    for text in shown:
        assert [line for line in text.splitlines() if line.startswith("| ")] == [
            f"| line {n}" for n in range(20)
        ]
    assert console(folder).count(b"line") == 20


def test_two_runs_at_once_are_told_apart(trainwatch: Trainwatch) -> None:
    first = trainwatch.start("input()", "--name", "one")
    second = trainwatch.start("input()", "--name", "two")
    supervised(first), supervised(second)
    listed = json.loads(trainwatch("runs", "--json").stdout)["runs"]
    assert [(run["name"], run["status"]) for run in listed] == [
        ("two", "running"),
        ("one", "running"),
    ]
    assert trainwatch("abort", "one", "--kill").returncode == 0
    assert over(first)["status"] == "aborted"
    assert trainwatch.show("two")["run"]["status"] == "running"
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.fspath(second / "control.sock"))
    assert trainwatch("abort", "two", "--kill").returncode == 0
