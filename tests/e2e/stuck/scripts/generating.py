"""
A small language model that is slow to speak: `generating.py CASE`. Needs torch and
transformers.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from mark import begins, case, main
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
)


def generate(first_s: float, next_s: float, tokens: int) -> None:
    """The forward over the prompt takes `first_s`, each token after it `next_s`."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG).eval()

    def slow(module: Any, given: Any) -> None:
        seconds = first_s if given[0].shape[1] > 1 else next_s
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)

    model.model.layers[0].register_forward_pre_hook(slow)
    prompt = torch.arange(12).unsqueeze(0)
    begins("generating")
    made = model.generate(prompt, min_new_tokens=tokens, max_new_tokens=tokens)
    print(made.shape[1] - 12, "tokens", flush=True)


@case
def slow_first_token() -> None:
    """40 s until the first token, then quick."""
    generate(40.0, 0.02, 50)


@case
def slow_tokens() -> None:
    """A token every 2 s."""
    generate(2.0, 2.0, 20)


if __name__ == "__main__":
    main()
