"""The cache of real weights: made once, never half."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from safetensors import safe_open


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with an empty cache and nothing to download."""
    file = Path(__file__).with_name("weights.py")
    spec = importlib.util.spec_from_file_location("smollm2_weights", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("TRAINWATCH_TEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_download", lambda work: work / "some.gguf")
    return module


def test_the_folder_appears_when_it_is_complete(
    weights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = weights.cache_folder() / weights.NAME

    def convert(gguf: Path, folder: Path) -> None:
        assert not wanted.exists()
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(weights, "_convert", convert)
    assert weights.smollm2_folder() == wanted
    assert [p.name for p in weights.cache_folder().iterdir()] == [weights.NAME]

    monkeypatch.setattr(weights, "_convert", lambda *_: pytest.fail("made twice"))
    assert weights.smollm2_folder() == wanted


def test_the_first_of_two_wins(
    weights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = weights.cache_folder() / weights.NAME

    def convert(gguf: Path, folder: Path) -> None:
        for maker, made in (("we", folder), ("they", wanted)):
            made.mkdir()
            (made / "config.json").write_text(maker)

    monkeypatch.setattr(weights, "_convert", convert)
    assert weights.smollm2_folder() == wanted
    assert (wanted / "config.json").read_text() == "they"
    assert [p.name for p in weights.cache_folder().iterdir()] == [weights.NAME]


def test_a_failed_conversion_leaves_nothing(
    weights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{")
        raise OSError("disk full")

    monkeypatch.setattr(weights, "_convert", convert)
    with pytest.raises(OSError, match="disk full"):
        weights.smollm2_folder()
    assert list(weights.cache_folder().iterdir()) == []


@pytest.mark.real
def test_the_real_folder_is_a_float32_llama(smollm2: Path) -> None:
    config = json.loads((smollm2 / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "quantization_config" not in config
    assert (smollm2 / "tokenizer.json").is_file()
    with safe_open(smollm2 / "model.safetensors", framework="np") as opened:
        slices = [opened.get_slice(name) for name in opened.keys()]  # noqa: SIM118
    assert {part.get_dtype() for part in slices} == {"F32"}
