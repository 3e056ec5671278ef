"""
The linear layers that LoRA would adapt, and how wide they are.

LoRA of rank r puts r times inputs plus outputs parameters beside a layer, so the sum
of these widths is all that its bill for a model rests on.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Optional, Tuple

ATTENTION = frozenset(
    (
        *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj"),
        *("query_key_value", "c_attn", "Wqkv", "q_lin", "k_lin", "v_lin", "out_lin"),
        *("query", "key", "value", "q", "k", "v", "o"),
    )
)
"""Names of attention's linear layers in transformers: Llama, Qwen, Mistral, Gemma,
OPT, Phi, GPT-NeoX, GPT-2, MPT, DistilBERT, BERT, T5."""


def widths(model: Any) -> Tuple[Optional[int], List[str]]:
    """
    Inputs plus outputs of attention's linear layers, summed, and their names; of all
    linear layers but the output where none is called so. None without any.
    """
    layers = list(_linears(model))
    chosen = [layer for layer in layers if layer[0] in ATTENTION]
    if not chosen:
        head = _head(model)
        chosen = [layer for layer in layers if layer[1] is not head]
    names = sorted({name for name, _, _ in chosen})
    return (sum(width for _, _, width in chosen) if chosen else None), names


def _head(model: Any) -> Any:
    """The output layer, None where the model cannot tell."""
    try:
        return model.get_output_embeddings()
    except (AttributeError, NotImplementedError):
        return None


def _linears(model: Any) -> Iterator[Tuple[str, Any, int]]:
    """(last name, module, inputs plus outputs) of every linear layer, once."""
    for path, module in model.named_modules():
        if "lora_" in path:
            continue  # An adapter that is there already.
        name = path.rpartition(".")[2]
        if name == "base_layer":
            continue  # Its wrapper stands for it.
        width = _width(module)
        if width is not None:
            yield name, module, width


def _width(module: Any) -> Optional[int]:
    inputs = getattr(module, "in_features", None)
    outputs = getattr(module, "out_features", None)
    if isinstance(inputs, int) and isinstance(outputs, int):
        return inputs + outputs
    # GPT-2's Conv1D is a linear layer with its weight the other way round.
    if type(module).__name__ == "Conv1D" and len(module.weight.shape) == 2:
        return int(sum(module.weight.shape))
    return None
