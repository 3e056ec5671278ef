"""An accelerator is seen without asking its driver."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainwatch.probes import accelerator


def built(cuda: str | None = None, mps: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda),
        backends=SimpleNamespace(mps=SimpleNamespace(is_built=lambda: mps)),
    )


def devices(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).touch()
    return str(folder)


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def test_a_card_is_there_where_its_file_is(tmp_path: Path) -> None:
    folder = devices(tmp_path, "nvidiactl", "nvidia3")
    assert accelerator.present(built("12.8"), folder) == "cuda"
    assert accelerator.present(built(None), folder) == ""
    assert accelerator.present(None, folder) == ""


def test_the_driver_alone_is_no_card(tmp_path: Path) -> None:
    folder = devices(tmp_path, "nvidiactl", "nvidia-uvm")
    assert accelerator.present(built("12.8"), folder) == ""
    assert accelerator.present(built("12.8"), str(tmp_path / "none")) == ""


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_card_that_is_hidden_is_not_there(
    hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert accelerator.present(built("12.8"), devices(tmp_path, "nvidia0")) == ""


def test_an_apple_gpu_is_taken_to_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="arm64"))
    assert accelerator.present(built(mps=True)) == "mps"
    assert accelerator.present(built()) == ""
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="x86_64"))
    assert accelerator.present(built(mps=True)) == ""
