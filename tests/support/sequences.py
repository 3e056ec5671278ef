"""
Generate 200 tokens twice, and time first tokens by a clock of this script.

Run as a script: `sequences.py OUT [MODEL]` writes to OUT, as JSON, a hash of the
greedy tokens, of the sampled ones and of the random state after them, and the
seconds from each later call to its first token. Without MODEL a small random one
is used.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

TOKENS = 200
TIMED = 8


def main(out: str, folder: str = "") -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers import StoppingCriteriaList as Criteria

    class Clock:
        """The moment at which the first token was chosen."""

        when: float | None = None

        def __call__(self, ids: Any, scores: Any) -> Any:
            if self.when is None:
                self.when = time.monotonic()
            return torch.zeros(len(ids), dtype=torch.bool)

    torch.manual_seed(0)
    if folder:
        model = LlamaForCausalLM.from_pretrained(folder)
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=512,
                hidden_size=128,
                intermediate_size=256,
                num_hidden_layers=4,
                num_attention_heads=4,
                num_key_value_heads=2,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            )
        )
    model.eval()
    prompt = torch.randint(3, 512, (1, 12))
    always = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}
    greedy = model.generate(prompt, do_sample=False, **always)
    torch.manual_seed(7)
    sampled = model.generate(prompt, do_sample=True, top_k=50, **always)
    facts: dict[str, Any] = {
        "tokens": [ids.shape[1] - prompt.shape[1] for ids in (greedy, sampled)],
        "greedy": digest(greedy.numpy().tobytes()),
        "sampled": digest(sampled.numpy().tobytes()),
        "random": digest(torch.get_rng_state().numpy().tobytes()),
        "ttft_s": [],
    }
    long = torch.randint(3, 512, (1, 128 if folder else 1024))
    for _ in range(TIMED):
        clock = Clock()
        began = time.monotonic()
        model.generate(long, max_new_tokens=2, stopping_criteria=Criteria([clock]))
        assert clock.when is not None
        facts["ttft_s"].append(clock.when - began)
    Path(out).write_text(json.dumps(facts))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
