"""
Scripts that do odd things: they train as they do without us, and what could not be
seen is said.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch

SCRIPT = Path(__file__).parent / "scripts" / "odd.py"
EVERY_STEP = 6

pytestmark = pytest.mark.e2e


def cases() -> list[str]:
    spec = importlib.util.spec_from_file_location("odd", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.CASES)


@dataclass
class Odd:
    """All cases without us and under watch."""

    folder: Path
    document: dict[str, Any]

    def result(self, how: str, name: str) -> tuple[int, str]:
        """Exit code and what was printed, without the times a Trainer prints."""
        printed = (self.folder / how / f"{name}.out").read_text()
        kept = [line for line in printed.splitlines() if "train_runtime" not in line]
        return self.ended(how)[name][1], "\n".join(kept)

    def errors(self, how: str, name: str) -> str:
        return (self.folder / how / f"{name}.err").read_text()

    def ended(self, how: str) -> dict[str, tuple[int, int]]:
        lines = (self.folder / how / "ended").read_text().splitlines()
        return {n: (int(pid), int(code)) for n, pid, code in map(str.split, lines)}

    def seen(self, name: str) -> dict[str, Any]:
        """What `show --json` says of the process of that case."""
        pid, _ = self.ended("watched")[name]
        (process,) = (p for p in self.document["processes"] if p["pid"] == pid)
        found: dict[str, Any] = process
        return found


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    """Every case run without us and under watch, two at a time."""
    folder = tmp_path_factory.mktemp("odd")
    for name in ("bare", "watched", "out"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        "ODD_OUT": str(folder / "out"),
        "OMP_NUM_THREADS": "1",
        "TRAINWATCH_HOME": str(folder / "home"),
    }
    python = [sys.executable, str(SCRIPT)]
    given = {"env": environment, "timeout": 400}
    subprocess.run(
        [*python, "bare", str(folder / "bare"), *cases()], check=True, **given
    )
    trainwatch = Trainwatch(folder / "home", folder)
    started = [*python, "started", str(folder / "watched"), *cases()]
    done = trainwatch("run", "--plain", "--", *started, **given)
    assert done.returncode == 0, done.stdout[-3000:]
    shown = trainwatch("show", "--json", env=environment)
    return Odd(folder, json.loads(shown.stdout))


@pytest.mark.parametrize("name", cases())
def test_it_trains_as_without_us(odd: Odd, name: str) -> None:
    assert odd.result("watched", name) == odd.result("bare", name)
    last = odd.errors("bare", name).splitlines()[-1:]
    assert odd.errors("watched", name).splitlines()[-1:] == last
    assert odd.document["probe"]["errors"] == []
    assert odd.document["probe"]["dropped"] == 0


EXIT = "it ended without a goodbye: its last 0.1 s may be missing"


@pytest.mark.parametrize(
    ("name", "steps", "skipped", "unseen"),
    [
        ("call_of_its_own", 6, 0, {}),
        (
            "call_replaced",
            6,
            0,
            {"forward": "in 4 of 6 steps no call of a model was seen"},
        ),
        (
            "call_put_back",
            6,
            0,
            {
                "forward": "in 6 of 6 steps no call of a model was seen",
                "backward": "in 1 of 6 steps no backward was seen",
            },
        ),
        ("forward_replaced", 6, 0, {}),
        ("optimizer_calls_super", 6, 0, {}),
        ("lbfgs", 3, 0, {}),
        ("own_gradients", 6, 0, {"backward": "in 6 of 6 steps no backward was seen"}),
        ("accumulation", 2, 0, {}),
        ("skipped_steps", 6, 2, {}),
        ("skipped_steps_fused", 6, 2, {}),
        ("exceptions_caught", 6, 0, {}),
        ("exception_in_backward", 2, 0, {}),
        ("streams_replaced", 6, 0, {}),
        ("streams_closed", 9, 0, {}),
        ("little_recursion", 6, 0, {}),
        ("a_thread_trains", 6, 0, {}),
        (
            "two_threads_train",
            6,
            0,
            {
                "steps of another thread": "several threads train; "
                "the steps of one are counted"
            },
        ),
        (
            "no_files",
            6,
            0,
            {"flight record": "it cannot be written, so phases are seen as they end"},
        ),
        # The first three steps of the Trainer, and five of the second one.
        ("trainer", 8, 4, {}),
    ],
)
def test_its_steps_are_counted_and_the_rest_is_said(
    odd: Odd, name: str, steps: int, skipped: int, unseen: dict[str, str]
) -> None:
    seen = odd.seen(name)
    assert seen["role"] == "rank"
    assert seen["steps"]["count"] == steps
    assert seen["steps"]["skipped"] == skipped
    assert seen["unseen"] == unseen


def test_gradients_without_an_optimizer_are_no_steps(odd: Odd) -> None:
    seen = odd.seen("own_update")
    assert (seen["role"], seen["step"]) == ("rank", None)
    assert seen["unseen"] == {"steps": "no optimizer was seen to step"}


def test_an_exit_without_goodbye(odd: Odd) -> None:
    assert odd.result("watched", "exits_at_once")[0] == 3
    seen = odd.seen("exits_at_once")
    # The flight record holds what was not sent any more.
    assert seen["step"] == EVERY_STEP
    assert seen["unseen"]["end"] == EXIT
    missing = EVERY_STEP - seen["steps"]["count"]
    told = seen["unseen"].get("steps", "")
    assert told == (f"the times of {missing} steps did not arrive" if missing else "")


def test_a_forked_child_is_nobody(odd: Odd) -> None:
    seen = odd.seen("forks")
    assert seen["steps"]["count"] == EVERY_STEP
    assert list(seen["unseen"]) == ["forked children"]
    assert seen["unseen"]["forked children"].startswith("forked at odd.py:")
    known = {pid for pid, _ in odd.ended("watched").values()}
    others = [p for p in odd.document["processes"] if p["pid"] not in known]
    assert [p["role"] for p in others] == ["other"], "only the one that started all"


def test_compiled_and_copied_models(odd: Odd) -> None:
    graphs, breaks = odd.result("watched", "compiled")[1].splitlines()[2].split()
    assert (graphs, breaks) == ("1", "0")
    assert odd.result("watched", "compiled")[1].endswith(" {}")
    assert odd.result("watched", "travels")[1].splitlines()[3].endswith(" False")
    assert odd.seen("travels")["unseen"] == {}
    # A model that is compiled after its first step is another one to us.
    assert set(odd.seen("compiled")["unseen"]) <= {"forward"}


def test_an_exception_is_told_with_its_phase(odd: Odd) -> None:
    error = odd.seen("exception_in_backward")["error"]
    assert (error["kind"], error["phase"]) == ("ArithmeticError", "backward")
    assert odd.seen("exceptions_caught")["error"] is None


# --- what is around the script ---


def bare_and_watched(
    trainwatch: Trainwatch, words: list[str], **environment: str
) -> dict[str, Any]:
    """The document of a run that ended and printed as it does without us."""
    given = {**os.environ, **environment}
    bare = subprocess.run(
        words, env=given, cwd=trainwatch.cwd, capture_output=True, text=True
    )
    done = trainwatch("run", "--plain", "--", *words, env=given)
    assert done.returncode == bare.returncode, done.stdout + done.stderr
    document = trainwatch.show()
    console = Path(document["run"]["home"], "console.log").read_text()
    for line in (bare.stdout + bare.stderr).splitlines():
        assert line in console
    return document


THEIRS = "import os\nos.environ['THEIRS'] = __file__\n"
USES = "import os; print(os.environ.get('THEIRS', 'not customized'))"


@pytest.mark.parametrize(
    "code", [THEIRS, THEIRS + "raise ValueError('theirs')\n"], ids=["runs", "raises"]
)
@pytest.mark.parametrize("place", ["PYTHONPATH", "site-packages"])
def test_a_sitecustomize_of_the_user(
    trainwatch: Trainwatch, tmp_path: Path, place: str, code: str
) -> None:
    python, folder = Path(sys.executable), tmp_path / "theirs"
    folder.mkdir()
    if place == "site-packages":
        python = bare_venv(tmp_path / "venv")
        (folder,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    (folder / "sitecustomize.py").write_text(code)
    given = {"PYTHONPATH": str(folder)} if place == "PYTHONPATH" else {}
    document = bare_and_watched(trainwatch, [str(python), "-c", USES], **given)
    console = Path(document["run"]["home"], "console.log").read_text()
    assert str(folder / "sitecustomize.py") in console
    assert ("ValueError: theirs" in console) == ("raise" in code)
    assert [p["armed"] for p in document["processes"]] == [True]
    assert document["probe"]["errors"] == []


def bare_venv(folder: Path) -> Path:
    """An environment with nothing in it."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    return folder / "bin" / "python"


@pytest.fixture(params=["read-only", "full", "long", "missing"])
def temp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A temp folder that nothing can be put in, or whose path is too long."""
    folder = tmp_path / "temp"
    folder.mkdir()
    if request.param == "missing":
        yield folder / "missing"
    elif request.param == "long":
        long = folder / ("long" * 30)
        long.mkdir()
        yield long
    elif request.param == "read-only" and os.getuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
    else:
        options = "ro" if request.param == "read-only" else "size=64k"
        mounted = shutil.which("mount") and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True,
        )
        if not mounted or mounted.returncode:
            pytest.skip("this user may not mount a small file system")
        if request.param == "full":
            with pytest.raises(OSError, match="No space"):
                (folder / "filler").write_bytes(b"\0" * (1 << 20))
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("home_length", ["short", "long"])
def test_a_temp_folder_that_is_of_no_use(
    trainwatch: Trainwatch, home: Path, temp: Path, home_length: str
) -> None:
    """With a long home the sockets must lie elsewhere: not in that folder."""
    given = {"TMPDIR": str(temp), "XDG_RUNTIME_DIR": str(temp)}
    if home_length == "long":
        given["TRAINWATCH_HOME"] = str(home / ("home" * 30))
    words = [sys.executable, "-c", "print('on'); raise SystemExit(4)"]
    done = trainwatch("run", "--plain", "--", *words, env={**os.environ, **given})
    assert done.returncode == 4, done.stdout + done.stderr
    shown = trainwatch("show", "--json", env={**os.environ, **given})
    document = json.loads(shown.stdout)
    assert document["run"]["exit_code"] == 4
    assert [p["armed"] for p in document["processes"]] == [True]
    assert document["processes"][0]["unseen"] == {}
    assert document["probe"]["errors"] == []
