"""`generate` in all its ways: what is told is what the result holds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("transformers")
pytestmark = pytest.mark.e2e

SCRIPT = """
    import json, sys, time
    import torch, transformers
    from transformers import LlamaConfig, LlamaForCausalLM, StoppingCriteria
    from transformers import StoppingCriteriaList
    transformers.logging.set_verbosity_error()

    def llama(layers=2, seed=0):
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(
            vocab_size=64, hidden_size=16, intermediate_size=32,
            num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=2,
            bos_token_id=1, eos_token_id=None, pad_token_id=0,
        )).eval()

    model = llama()
    prompt = torch.tensor([[5, 6, 7]])

    class End(transformers.LogitsProcessor):
        "Row i ends with token 2 as its token number `at[i]`."
        def __init__(self, *at):
            self.at, self.made = at, 0
        def __call__(self, ids, scores):
            self.made += 1
            scores[:, 2] = -1e9
            for row, at in enumerate(self.at):
                if self.made == at:
                    scores[row, 2] = 1e9
            return scores

    def ending(*at):
        return dict(
            logits_processor=transformers.LogitsProcessorList([End(*at)]),
            eos_token_id=2,
        )

    def say(**facts):
        print(json.dumps(facts), flush=True)
"""


@pytest.fixture
def generate(run: Any) -> Callable[..., Any]:
    """Runs a script after SCRIPT; its printed facts are `done.said`."""

    def start(rest: str, **options: Any) -> Any:
        done = run(textwrap.dedent(SCRIPT) + textwrap.dedent(rest), **options).check()
        done.said = [json.loads(line) for line in done.stdout.splitlines()]
        return done

    return start


TABLE = """
    three = torch.randint(3, 64, (3, 5))
    ways = {
        "greedy": lambda: model.generate(prompt, max_new_tokens=9, do_sample=False),
        "sampled": lambda: model.generate(prompt, max_new_tokens=8, do_sample=True),
        "beams": lambda: model.generate(prompt, max_new_tokens=7, num_beams=2),
        "two of a prompt": lambda: model.generate(
            prompt, max_new_tokens=5, do_sample=True, num_return_sequences=2),
        "rows end early": lambda: model.generate(
            three, max_new_tokens=9, **ending(2, 6, 4)),
        "one row at the cap": lambda: model.generate(
            three, max_new_tokens=9, **ending(2, 0, 4)),
        "ends with the cap": lambda: model.generate(
            prompt, max_new_tokens=9, **ending(9)),
        "beams that end": lambda: model.generate(
            prompt, max_new_tokens=9, num_beams=2, **ending(4, 4)),
        "assisted": lambda: model.generate(
            prompt, max_new_tokens=20, do_sample=False, assistant_model=model_2),
        "assisted by itself": lambda: model.generate(
            prompt, max_new_tokens=20, do_sample=False, assistant_model=model),
        "looked up": lambda: model.generate(
            prompt, max_new_tokens=20, do_sample=False, prompt_lookup_num_tokens=2),
        "no cache": lambda: model.generate(prompt, max_new_tokens=9, use_cache=False),
        "one token": lambda: model.generate(prompt, max_new_tokens=1),
        "length": lambda: model.generate(prompt, max_length=10),
        "as a dict": lambda: model.generate(
            prompt, max_new_tokens=6, return_dict_in_generate=True,
            output_scores=True),
        "by a stopping criterion": lambda: model.generate(
            prompt, max_new_tokens=9,
            stopping_criteria=StoppingCriteriaList([lambda ids, scores:
                torch.full((len(ids),), ids.shape[1] >= 7)])),
        "embedded": lambda: model.generate(
            inputs_embeds=model.get_input_embeddings()(prompt), max_new_tokens=6),
    }
    model_2 = llama(1)
    for name, way in ways.items():
        result = way()
        sequences = getattr(result, "sequences", result)
        given = 0 if name == "embedded" else 5 if len(sequences) == 3 else 3
        say(name=name, tokens=sequences.shape[1] - given, rows=len(sequences))
"""

EXPECTED = {
    # (cap, tokens, prompt, hit the cap, rows at the cap, key-value cache)
    "greedy": (9, 9, 3, True, 1, True),
    "sampled": (8, 8, 3, True, 1, True),
    "beams": (7, 7, 3, True, 1, True),
    "two of a prompt": (5, 5, 3, True, 2, True),
    "rows end early": (9, 6, 5, False, 0, True),
    "one row at the cap": (9, 9, 5, True, 1, True),
    "ends with the cap": (9, 9, 3, False, 0, True),
    "beams that end": (9, 4, 3, False, 0, True),
    "assisted": (20, 20, 3, True, 1, True),
    "assisted by itself": (20, 20, 3, True, 1, True),
    "looked up": (20, 20, 3, True, 1, True),
    "no cache": (9, 9, 3, True, 1, False),
    "one token": (1, 1, 3, True, 1, True),
    "length": (7, 7, 3, True, 1, True),
    "as a dict": (6, 6, 3, True, 1, True),
    "by a stopping criterion": (9, 4, 3, False, 0, True),
    "embedded": (6, 6, 3, True, 1, True),
}


def test_every_way_of_decoding(generate: Any) -> None:
    done = generate(TABLE)
    began, ended = done.of("generation_began"), done.of("generation_ended")
    assert len(began) == len(ended) == len(done.said) == len(EXPECTED)
    assert [b.id for b in began] == [e.id for e in ended]
    for said, b, e in zip(done.said, began, ended, strict=True):
        name = said["name"]
        assert (e.tokens, e.rows) == (said["tokens"], said["rows"]), name
        told = (
            e.max_new_tokens,
            e.tokens,
            b.prompt_tokens,
            e.hit_cap,
            e.rows_at_cap,
            e.use_cache,
        )
        assert told == EXPECTED[name], name
        assert b.max_new_tokens == e.max_new_tokens, name
        assert not e.failed
        assert 0 < e.ttft_s < e.seconds, name
        if e.tokens == 1:
            assert (e.second_token_s, e.inter_token_s) == (None, None)
            continue
        assert 0 < e.inter_token_s < e.seconds, name
        if not name.startswith(("assisted", "looked")):
            # Drafts may bring all tokens at once.
            assert 0 < e.second_token_s < e.seconds, name
