from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainwatch.probes import guard
from trainwatch.probes.imports import ImportWatch


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []

    def began(self, name: str) -> None:
        self.lines.append(("began", name))

    def ended(self, name: str, module: Any) -> None:
        self.lines.append(("ended", None if module is None else name))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def watch(log: Log, tmp_path: Path, monkeypatch: Any) -> Iterator[ImportWatch]:
    monkeypatch.syspath_prepend(str(tmp_path))
    watch = ImportWatch(log.began, log.ended)
    watch.install()
    before = set(sys.modules)
    yield watch
    sys.meta_path.remove(watch)  # type: ignore[arg-type]
    for name in set(sys.modules) - before:
        del sys.modules[name]
    guard.tell_to(None)


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()


def test_the_callback_gets_the_finished_module(
    watch: ImportWatch, log: Log, tmp_path: Path
) -> None:
    write(tmp_path, "tw_fake", "value = 1\n\ndef f():\n    return value\n")
    seen = []
    watch.watch("tw_fake", lambda module: seen.append(module.value))
    module = importlib.import_module("tw_fake")
    assert seen == [1]
    assert log.lines == [("began", "tw_fake"), ("ended", "tw_fake")]
    assert "return value" in inspect.getsource(module.f)
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(module.__spec__.loader)
    assert importlib.reload(module).value == 1


def test_an_imported_module_calls_back_at_once(watch: ImportWatch) -> None:
    seen: list[Any] = []
    watch.watch("json", seen.append)
    assert [module.__name__ for module in seen] == ["json"]


def test_a_failing_import_stays_what_it_is(
    watch: ImportWatch, log: Log, tmp_path: Path
) -> None:
    write(tmp_path, "tw_broken", "raise ValueError('theirs')\n")
    seen: list[Any] = []
    watch.watch("tw_broken", seen.append)
    with pytest.raises(ValueError, match="theirs"):
        importlib.import_module("tw_broken")
    assert seen == []
    assert log.lines[-1] == ("ended", None)
    write(tmp_path, "tw_broken", "value = 22\n")
    importlib.import_module("tw_broken")
    assert len(seen) == 1


def test_a_failing_callback_is_ours_alone(watch: ImportWatch, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    guard.tell_to(lambda probe, error: told.append((probe, error)))
    write(tmp_path, "tw_fine", "value = 1\n")
    seen: list[Any] = []

    def fail(module: Any) -> None:
        raise KeyError("ours")

    watch.watch("tw_fine", fail)
    watch.watch("tw_fine", seen.append)
    assert importlib.import_module("tw_fine").value == 1
    assert len(seen) == 1
    assert told == [("import tw_fine", "KeyError: 'ours'")]


def test_looking_for_a_module_does_not_run_it(
    watch: ImportWatch, log: Log, tmp_path: Path
) -> None:
    write(tmp_path, "tw_idle", "value = 1\n")
    seen: list[Any] = []
    watch.watch("tw_idle", seen.append)
    assert importlib.util.find_spec("tw_idle") is not None
    assert log.lines == []
    importlib.import_module("tw_idle")
    assert len(seen) == 1


def test_a_missing_module_is_still_missing(watch: ImportWatch) -> None:
    watch.watch("tw_missing", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="tw_missing"):
        importlib.import_module("tw_missing")
