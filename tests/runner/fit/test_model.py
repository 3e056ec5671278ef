from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainwatch.runner.errors import UsageError
from trainwatch.runner.fit.model import find_config, own_dtype, shapes

LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64}


def write(file: Path, config: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def test_a_folder_and_its_config_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "config.json", LLAMA)
    assert find_config(str(tmp_path)) == LLAMA
    assert find_config(str(tmp_path / "config.json")) == LLAMA


def test_a_few_numbers() -> None:
    assert find_config("llama:hidden=64,layers=2,tied=true,rope_theta=1e4") == {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "tie_word_embeddings": True,
        "rope_theta": 10000.0,
    }


def test_a_model_of_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    model = tmp_path / "hub" / "models--some--thing"
    write(model / "refs" / "main", "abc\n")
    write(model / "snapshots" / "abc" / "config.json", LLAMA)
    assert find_config("some/thing") == LLAMA


def test_a_known_name_is_a_shape() -> None:
    assert find_config("meta-llama/Meta-Llama-3-8B") == find_config("llama-3-8b")
    assert "parameters" not in find_config("llama-3-8b")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "is not JSON"),
        ([1], "holds no JSON object"),
        ({}, "does not say its model_type"),
        ({**LLAMA, "num_hidden_layers": 0}, "has no layers (num_hidden_layers is 0)"),
        ({**LLAMA, "hidden_size": -64}, "hidden_size of"),
        ({**LLAMA, "vocab_size": "many"}, "no whole number: 'many'"),
        (
            {**LLAMA, "quantization_config": {"quant_method": "bitsandbytes"}},
            "quantized weights (bitsandbytes)",
        ),
        (
            {"model_type": "x", "text_config": {"n_layer": 0}},
            "has no layers",
        ),
    ],
)
def test_a_broken_config_is_named(tmp_path: Path, config: object, said: str) -> None:
    file = write(tmp_path / "config.json", config)
    with pytest.raises(UsageError) as raised:
        find_config(str(file))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no config\.json"):
        find_config(str(tmp_path))
    with pytest.raises(UsageError, match="no model 'nothing-9b'"):
        find_config("nothing-9b")
    write(tmp_path / "adapter_config.json", {"base_model_name_or_path": "org/base"})
    with pytest.raises(UsageError, match="an adapter: give its base model, org/base"):
        find_config(str(tmp_path))


def test_the_type_of_the_weights() -> None:
    assert own_dtype({"dtype": "bfloat16"}) == "bf16"
    assert own_dtype({"torch_dtype": "float32"}) == "fp32"
    assert own_dtype({}) is None


@pytest.mark.parametrize("name", shapes())
def test_a_shape_adds_up_to_the_published_count(name: str) -> None:
    shape = shapes()[name]
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    head = shape.get("head_dim", hidden // heads)
    queries, keys = heads * head, shape["num_key_value_heads"] * head
    layer = 2 * hidden * queries + 2 * hidden * keys + 2 * hidden
    layer += 3 * hidden * shape["intermediate_size"]
    if shape["model_type"] == "qwen2":
        layer += queries + 2 * keys
    if shape["model_type"] == "qwen3":
        layer += 2 * head
    embedding = shape["vocab_size"] * hidden
    count = shape["num_hidden_layers"] * layer + embedding + hidden
    count += 0 if shape["tie_word_embeddings"] else embedding
    assert count == shape["parameters"]
