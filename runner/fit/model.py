"""
The model that a fit is asked about: its config, from wherever the word leads.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from trainwatch.runner.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHORT = {
    "hidden": "hidden_size",
    "ffn": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv": "num_key_value_heads",
    "vocab": "vocab_size",
    "tied": "tie_word_embeddings",
}
"""Short words for `llama:layers=32,hidden=4096`; any other is a key of the config."""

LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
COUNTS = (
    *LAYER_KEYS,
    "hidden_size",
    "n_embd",
    "vocab_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
)
_NUMBERS = re.compile(r"([\w-]+):([\w-]+=[\w.-]+(?:,[\w-]+=[\w.-]+)*)")


@cache
def shapes() -> Mapping[str, Mapping[str, Any]]:
    """
    The built-in shapes by name.
    """
    text = Path(__file__).with_name("shapes.toml").read_text("utf-8")
    return tomllib.loads(text)


def find_config(word: str) -> dict[str, Any]:
    """
    The config of a model folder, a config file, a built-in shape, a few numbers
    (`llama:hidden=4096,layers=32`), or a model in the cache of the hub.

    Raises:
        UsageError: there is none, or it cannot be one, in one line.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        config = _of_folder(path)
    elif path.is_file():
        config = _read(path)
    elif numbers := _NUMBERS.fullmatch(word):
        config = {"model_type": numbers[1], **_values(numbers[2])}
    else:
        config = _of_name(word)
    return _checked(config, word)


def _of_folder(folder: Path) -> dict[str, Any]:
    if (folder / "config.json").is_file():
        return _read(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        base = _read(folder / "adapter_config.json").get("base_model_name_or_path")
        raise UsageError(f"{folder} is an adapter: give its base model, {base}")
    raise UsageError(f"{folder} is no model folder: it has no config.json")


def _of_name(word: str) -> dict[str, Any]:
    named = word.rpartition("/")[2].lower()
    for name in (named, named.replace("meta-", "").replace("-instruct", "")):
        if name in shapes():
            return {k: v for k, v in shapes()[name].items() if k != "parameters"}
    if config := _cached(word):
        return _read(config)
    raise UsageError(
        f"no model {word!r}: give a folder, a config.json, numbers such as "
        f"llama:hidden=4096,layers=32, or one of {', '.join(shapes())}"
    )


def _cached(name: str) -> Path | None:
    """
    The config of a model that the hub's client has downloaded before.
    """
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return None
    folder = hub / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    config = folder / "snapshots" / commit / "config.json"
    return config if config.is_file() else None


def _values(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in text.split(","):
        name, _, value = pair.partition("=")
        try:
            values[SHORT.get(name, name)] = json.loads(value)
        except ValueError:
            values[SHORT.get(name, name)] = value
    return values


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{file} is no model's config: it holds no JSON object")
    return found


def _checked(config: dict[str, Any], word: str) -> dict[str, Any]:
    if not isinstance(config.get("model_type"), str):
        raise UsageError(f"the config of {word} does not say its model_type")
    for part in (config, config.get("text_config")):
        if not isinstance(part, dict):
            continue
        for key in COUNTS:
            count = part.get(key)
            if count is None:
                continue
            if isinstance(count, bool) or not isinstance(count, int):
                raise UsageError(f"{key} of {word} is no whole number: {count!r}")
            if count == 0 and key in LAYER_KEYS:
                raise UsageError(f"the model {word} has no layers ({key} is 0)")
            if count < 1:
                raise UsageError(f"{key} of {word} is {count}: it must be 1 or more")
    if quantized := config.get("quantization_config"):
        how = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise UsageError(
            f"{word} has quantized weights ({how or 'of some kind'}): their memory "
            "cannot be told, quantized trainings are not simulated"
        )
    return config


def own_dtype(config: Mapping[str, Any]) -> str | None:
    """
    The type in which the weights were saved, as a plan names it; None if it is not
    said.
    """
    said = config.get("dtype") or config.get("torch_dtype")
    names = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    return names.get(said) if isinstance(said, str) else None
