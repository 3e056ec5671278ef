from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.pythons import other_pythons


def test_a_short_process_joins_and_leaves(run: Any, collector: Any) -> None:
    done = run("print('hello')").check()
    assert done.stdout == "hello\n"
    assert [e.type for e in sorted(done.events, key=lambda e: e.time)] == [
        "process_joined",
        "process_left",
    ]
    (joined,) = done.of("process_joined")
    assert joined.role == "other"
    assert joined.argv[-1].endswith("script.py")
    assert joined.flight == os.fspath(
        collector.run / "flight" / str(done.events[0].pid)
    )
    assert not list((collector.run / "flight").iterdir())


@pytest.mark.parametrize("python", other_pythons())
def test_other_versions_join_too(run: Any, python: str) -> None:
    done = run("import sys; print(sys.version_info[:2])", python=python).check()
    assert len(done.of("process_joined")) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("python", other_pythons())
def test_other_versions_import_every_probe(python: str, stage: Path) -> None:
    """What a library brings in too, which a bare interpreter never imports."""
    names = [path.stem for path in (stage / "_trainwatch_probes").glob("[a-z]*.py")]
    assert "trainer" in names
    lines = [f"import _trainwatch_probes.{name}" for name in names if name != "shim"]
    # Armed or not, the shim takes the stage off the path.
    lines[:0] = ["import sys", f"sys.path.insert(0, {os.fspath(stage)!r})"]
    done = subprocess.run(
        [python, "-W", "error", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_our_variables_the_shim_does_nothing(
    environment: dict[str, str], stage: Path
) -> None:
    for name in ("TRAINWATCH_SOCKET", "TRAINWATCH_RUN"):
        env = {k: v for k, v in environment.items() if k != name}
        text = "import sys; print('_trainwatch_probes' in sys.modules, sys.path)"
        out = subprocess.run(
            [sys.executable, "-c", text], env=env, capture_output=True, text=True
        )
        assert out.stdout.startswith("False")
        assert os.fspath(stage) not in out.stdout


def test_the_stage_is_off_the_path_and_in_the_environment(
    run: Any, stage: Path
) -> None:
    done = run(
        """
        import os, sys
        print(sys.path[0] == os.path.dirname(os.path.abspath(__file__)))
        print(os.environ["PYTHONPATH"] in sys.path)
        print(os.environ["PYTHONPATH"], sys.argv[1:], __name__)
        """
    ).check()
    assert done.stdout == f"True\nFalse\n{stage} [] __main__\n"


def test_the_sitecustomize_it_hides_still_runs(
    run: Any, tmp_path: Path, stage: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("value = 'theirs'\nprint('customized')\n")
    path = os.pathsep.join((os.fspath(stage), os.fspath(theirs)))
    done = run(
        "import sitecustomize; print(sitecustomize.value, sitecustomize.__file__)",
        env={"PYTHONPATH": path},
    ).check()
    assert done.stdout == f"customized\ntheirs {theirs / 'sitecustomize.py'}\n"
    assert done.stderr == ""
    assert len(done.of("process_joined")) == 1


def test_an_error_in_the_hidden_one_looks_as_it_did(
    run: Any, tmp_path: Path, stage: Path, environment: dict[str, str]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    bare = subprocess.run(
        [sys.executable, "-c", "print('on')"],
        env={**environment, "PYTHONPATH": os.fspath(theirs)},
        capture_output=True,
        text=True,
    )
    path = os.pathsep.join((os.fspath(stage), os.fspath(theirs)))
    done = run("print('on')", env={"PYTHONPATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (
        bare.returncode,
        bare.stdout,
        bare.stderr,
    )
    assert "ValueError: theirs" in done.stderr


def test_a_broken_probe_is_told_and_the_user_sees_nothing(
    tmp_path: Path, run: Any, stage: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(stage, broken)
    (broken / "_trainwatch_probes" / "cautions.py").write_text(
        (stage / "_trainwatch_probes" / "cautions.py")
        .read_text()
        .replace("def tell(", "def tell(missing, ")
    )
    done = run(
        "import warnings; warnings.warn('w'); warnings.warn('v'); print('on')",
        env={"PYTHONPATH": os.fspath(broken)},
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.count("UserWarning") == 2
    assert [f.probe for f in done.of("probe_failed")] == ["warnings"]


def test_probes_that_cannot_start_leave_a_note(
    tmp_path: Path, run: Any, stage: Path, collector: Any
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(stage, broken)
    (broken / "_trainwatch_probes" / "process.py").write_text("raise SystemExit(3)\n")
    done = run("print('on')", env={"PYTHONPATH": os.fspath(broken)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")
    (note,) = (collector.run / "flight").iterdir()
    assert note.read_text() == "SystemExit: 3\n"


def test_no_supervisor_no_harm(run: Any, collector: Any) -> None:
    collector.hang_up()
    done = run("print('on')")
    collector.listen()
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


def test_a_forked_child_is_silent(run: Any) -> None:
    done = run(
        """
        import os, sys, warnings
        import logging
        child = os.fork()
        if child == 0:
            warnings.warn("from the child")
            logging.warning("from the child")
            sys.exit(0)
        os.waitpid(child, 0)
        logging.warning("from the parent")
        """
    ).check()
    assert [w.text for w in done.of("warning_raised")] == ["from the parent"]
    assert len(done.of("process_joined")) == 1
    assert len(done.of("process_left")) == 1
    assert len({e.pid for e in done.events}) == 1


@pytest.mark.parametrize("python", other_pythons())
def test_a_fork_raises_no_warning_because_of_us(run: Any, python: str) -> None:
    done = run(
        """
        import os, warnings
        warnings.simplefilter("error")
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        print("forked")
        """,
        python=python,
    )
    assert (done.stdout, done.stderr) == ("forked\n", "")


def test_an_exception_is_told_and_printed_as_ever(run: Any) -> None:
    script = """
        def fail():
            raise ValueError("no such thing")
        fail()
        """
    done = run(script)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: no such thing\n")
    assert "trainwatch" not in done.stderr
    (error,) = done.of("exception_raised")
    assert error.kind == "ValueError"
    assert error.message == "ValueError: no such thing"
    assert "in fail" in error.traceback
    assert error.phase == "start"


def test_an_exception_in_a_thread_is_told(run: Any) -> None:
    done = run(
        """
        import threading
        def fail():
            raise KeyError("k")
        thread = threading.Thread(target=fail, name="loader")
        thread.start()
        thread.join()
        """
    )
    assert done.returncode == 0
    (error,) = done.of("exception_raised")
    assert error.message == "in thread loader: KeyError: 'k'"


def test_an_exit_code_and_an_exit_are_no_failures(run: Any) -> None:
    done = run("import sys; sys.exit(5)")
    assert done.returncode == 5
    assert done.of("exception_raised") == []


def test_warnings_are_told_and_repeats_are_counted(run: Any) -> None:
    done = run(
        """
        import logging, warnings
        for _ in range(40):
            logging.getLogger("lib").warning("again")
        warnings.warn("once", FutureWarning)
        logging.getLogger("lib").info("not a warning")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("caught by the user")
        print(len(caught))
        """
    ).check()
    told = done.of("warning_raised")
    again = [w for w in told if w.text == "again"]
    assert again[0].count == 1
    assert sum(w.count for w in again) == 40
    assert len(again) <= 4
    assert (again[0].source, again[0].logger, again[0].level) == (
        "logging",
        "lib",
        "WARNING",
    )
    (once,) = [w for w in told if w.text == "once"]
    assert (once.source, once.category) == ("warnings", "FutureWarning")
    assert {w.text for w in told} == {"again", "once"}
    assert done.stdout == "1\n"
    assert done.stderr.count("again") == 40
    assert "FutureWarning: once" in done.stderr


def test_the_stacks_come_on_the_signal(run: Any, collector: Any) -> None:
    done = run(
        """
        import os, signal, sys
        number = signal.SIGRTMIN + 5 if sys.platform == "linux" else signal.SIGUSR2
        def here():
            os.kill(os.getpid(), number)
        here()
        """
    ).check()
    (joined,) = done.of("process_joined")
    assert joined.stack_signal is not None
    assert "in here" in Path(joined.stack_file).read_text()


def test_a_signal_of_the_user_is_left_alone(
    environment: dict[str, str], collector: Any
) -> None:
    number = signal.SIGRTMIN + 5 if sys.platform == "linux" else signal.SIGUSR2
    # An ignored signal stays ignored through exec.
    subprocess.run(
        [sys.executable, "-c", "pass"],
        env=environment,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
        check=True,
    )
    collector.wait(lambda: bool(collector.of("process_joined")))
    assert collector.of("process_joined")[0].stack_signal is None


def test_helpers_of_multiprocessing_are_not_watched(run: Any) -> None:
    done = run(
        """
        import multiprocessing
        def work(x):
            return x + 1
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, [1]))
        """
    ).check()
    assert done.stdout == "[2]\n"
    assert sorted(j.role for j in done.of("process_joined")) == ["other", "worker"]
