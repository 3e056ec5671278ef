"""Which linear layers LoRA would adapt, by their names and widths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainwatch.probes.adaptable import widths


class Linear:
    def __init__(self, inputs: int, outputs: int) -> None:
        self.in_features = inputs
        self.out_features = outputs


class Conv1D:
    def __init__(self, inputs: int, outputs: int) -> None:
        self.weight = type("Weight", (), {"shape": (inputs, outputs)})


class Model:
    """As many modules as are given, by path; `head` is the output layer."""

    def __init__(self, modules: dict[str, Any], head: Any = None) -> None:
        self._modules_ = {"": self, **modules}
        self._head = head

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        return iter(self._modules_.items())

    def get_output_embeddings(self) -> Any:
        if self._head is None:
            raise NotImplementedError
        return self._head


def test_attention_of_a_llama() -> None:
    """Llama-3 8B: 13,631,488 parameters of LoRA r16 on q, k, v, o."""
    layers = {}
    for n in range(32):
        at = f"model.layers.{n}"
        layers[f"{at}.self_attn.q_proj"] = Linear(4096, 4096)
        layers[f"{at}.self_attn.k_proj"] = Linear(4096, 1024)
        layers[f"{at}.self_attn.v_proj"] = Linear(4096, 1024)
        layers[f"{at}.self_attn.o_proj"] = Linear(4096, 4096)
        layers[f"{at}.mlp.up_proj"] = Linear(4096, 14336)
        layers[f"{at}.norm"] = object()
    head = layers["lm_head"] = Linear(4096, 128256)
    width, names = widths(Model(layers, head))
    assert 16 * (width or 0) == 13_631_488
    assert names == ["k_proj", "o_proj", "q_proj", "v_proj"]


def test_an_adapter_that_is_there_counts_once() -> None:
    wrapped = {
        "base_model.model.q_proj": Linear(8, 4),
        "base_model.model.q_proj.base_layer": Linear(8, 4),
        "base_model.model.q_proj.lora_A.default": Linear(8, 2),
        "base_model.model.q_proj.lora_B.default": Linear(2, 4),
    }
    assert widths(Model(wrapped)) == (12, ["q_proj"])


def test_gpt2_has_its_own_kind_of_linear_layer() -> None:
    layers = {"h.0.attn.c_attn": Conv1D(768, 2304), "h.0.mlp.c_fc": Conv1D(768, 3072)}
    assert widths(Model(layers)) == (3072, ["c_attn"])


def test_without_known_names_all_but_the_output() -> None:
    layers = {"first": Linear(3, 5), "second": Linear(5, 7), "act": object()}
    head = layers["out"] = Linear(7, 100)
    assert widths(Model(layers, head)) == (20, ["first", "second"])
    assert widths(Model(layers)) == (127, ["first", "out", "second"])


def test_a_model_without_linear_layers() -> None:
    assert widths(Model({"conv": object()})) == (None, [])
