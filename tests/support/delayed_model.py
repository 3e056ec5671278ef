"""A tiny Llama whose parts are slow when a script's delays say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from delays import Delays
from transformers import LlamaConfig, LlamaForCausalLM

WORDS = 64
CONFIG = LlamaConfig(
    vocab_size=WORDS,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)

delays = Delays()
_now: list[str] = []
"""What the script is doing with the model."""


@contextmanager
def doing(what: str) -> Iterator[None]:
    _now.append(what)
    yield
    _now.pop()


class Llama(LlamaForCausalLM):
    """Slow to load, to call, to generate with, and to save."""

    def __init__(self, config: LlamaConfig) -> None:
        if "load" in _now:
            delays.every_other("load")
        super().__init__(config)
        self.model.embed_tokens.register_forward_hook(_embedded)

    def state_dict(self, *args, **kwargs):
        if "save" in _now:
            delays.every_other("save")
        return super().state_dict(*args, **kwargs)


def _embedded(module, args, output) -> None:
    if "generate" in _now:
        delays.every_other("prefill" if output.shape[1] > 1 else "decode")
    elif module.training:
        delays("forward" if torch.is_grad_enabled() else "reference")


class Slow(torch.autograd.Function):
    """The identity, with a backward that takes its time."""

    @staticmethod
    def forward(context, value):
        return value.view_as(value)

    @staticmethod
    def backward(context, gradient):
        delays("backward")
        return gradient


class SlowAdamW(torch.optim.AdamW):
    def step(self, *args, **kwargs):
        delays("optimizer")
        return super().step(*args, **kwargs)


def generate(model: Llama, calls: int) -> None:
    """`calls` generations of two tokens; every other one is slow."""
    model.eval()
    for _ in range(calls):
        with doing("generate"), torch.no_grad():
            model.generate(
                torch.tensor([[3, 4, 5, 6]]),
                max_new_tokens=2,
                min_new_tokens=2,
                do_sample=False,
            )
    model.train()
