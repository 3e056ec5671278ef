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
    import json, os, sys, threading, time
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

    def tell_each_token():
        sys.modules["_trainwatch_probes.generation"].TELL_S = 0.0, 0.0

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
            # 4.x and 5.0 need an end token here; no row ends with this one.
            prompt, max_new_tokens=20, do_sample=False, prompt_lookup_num_tokens=2,
            eos_token_id=99),
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
        "encoded": lambda: t5.generate(
            input_ids=torch.tensor([[5, 6, 7, 8]]), max_new_tokens=6),
        "called otherwise": lambda: mine.generate(prompt, max_new_tokens=6),
        "recomputed": lambda: recomputed.generate(prompt, max_new_tokens=6),
        "wrapped": lambda: lora.generate(input_ids=prompt, max_new_tokens=6),
    }
    heads = {"embedded": 0, "encoded": 1}

    from peft import LoraConfig, get_peft_model
    from transformers import T5Config, T5ForConditionalGeneration
    class Mine(LlamaForCausalLM):
        def __call__(self, *args, **kwargs):
            return self.forward(*args, **kwargs)
    mine = Mine(model.config).eval()
    recomputed = llama().train()
    recomputed.gradient_checkpointing_enable()
    lora = get_peft_model(llama(), LoraConfig(target_modules=["q_proj"]))
    t5 = T5ForConditionalGeneration(T5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        decoder_start_token_id=0, eos_token_id=None, pad_token_id=0,
    )).eval()
    model_2 = llama(1)
    tell_each_token()
    for name, way in ways.items():
        result = way()
        sequences = getattr(result, "sequences", result)
        head = heads.get(name, 5 if len(sequences) == 3 else 3)
        say(name=name, tokens=sequences.shape[1] - head, rows=len(sequences))
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
    "encoded": (6, 6, 4, True, 1, True),
    "called otherwise": (6, 6, 3, True, 1, True),
    "recomputed": (6, 6, 3, True, 1, False),
    "wrapped": (6, 6, 3, True, 1, True),
}


def test_every_way_of_decoding(generate: Any) -> None:
    done = generate(TABLE)
    began, ended = done.of("generation_began"), done.of("generation_ended")
    assert len(began) == len(ended) == len(done.said) == len(EXPECTED)
    assert [b.id for b in began] == [e.id for e in ended]
    counted = {a.id: a.tokens for a in done.of("generation_advanced")}
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
        if name == "beams that end":
            # The best row was found before the last turn.
            assert counted[e.id] >= e.tokens
        else:
            assert counted[e.id] == e.tokens, name
        assert not e.failed
        assert 0 < e.ttft_s < e.seconds, name
        if e.tokens == 1:
            assert (e.second_token_s, e.inter_token_s) == (None, None)
            continue
        assert 0 < e.inter_token_s < e.seconds, name
        if not name.startswith(("assisted", "looked")):
            # Drafts may bring all tokens at once.
            assert 0 < e.second_token_s < e.seconds, name


def test_the_flight_record_counts_against_the_cap(generate: Any) -> None:
    done = generate(
        """
        flight = sys.modules["_trainwatch_probes.flight"]
        record = os.path.join(os.environ["TRAINWATCH_RUN"], "flight", str(os.getpid()))
        class Look(transformers.LogitsProcessor):
            def __call__(self, ids, scores):
                with open(record, "rb") as file:
                    now = flight.read(file.read())
                say(phase=now.phase, tokens=now.tokens, total=now.total)
                return scores
        model.generate(prompt, max_new_tokens=4, logits_processor=
                       transformers.LogitsProcessorList([Look()]))
        """
    )
    assert done.said == [
        {"phase": "prefill", "tokens": 0, "total": 4},
        {"phase": "decode", "tokens": 1, "total": 4},
        {"phase": "decode", "tokens": 2, "total": 4},
        {"phase": "decode", "tokens": 3, "total": 4},
    ]


def test_a_token_is_there_when_the_loop_has_chosen_it(generate: Any) -> None:
    """Delays stand for a device that computes after the forward has returned."""
    done = generate(
        """
        class Slow:
            "Waits for token 1 longer than for token 2, and that longer than others."
            def __init__(self):
                self.made, self.when = 0, []
            def __call__(self, ids, scores):
                time.sleep((0.1, 0.05, 0.02, 0.02, 0.02, 0.02)[self.made])
                self.made += 1
                self.when.append(time.monotonic())
                return torch.zeros(len(ids), dtype=torch.bool)
        for _ in range(8):
            slow, began = Slow(), time.monotonic()
            model.generate(prompt, max_new_tokens=6,
                           stopping_criteria=StoppingCriteriaList([slow]))
            w = slow.when
            say(ttft=w[0] - began, second=w[1] - w[0],
                gap=sorted(b - a for a, b in zip(w, w[1:]))[2])

        class Growing:
            "Each token takes 4 ms longer than the one before."
            made = 0
            def __call__(self, ids, scores):
                self.made += 1
                time.sleep(0.004 * self.made)
                return torch.zeros(len(ids), dtype=torch.bool)
        model.generate(prompt, max_new_tokens=32, use_cache=False,
                       stopping_criteria=StoppingCriteriaList([Growing()]))
        """
    )
    *timed, growing = done.of("generation_ended")
    told = [
        {"ttft": e.ttft_s, "second": e.second_token_s, "gap": e.inter_token_s}
        for e in timed
    ]
    for name, least in (("ttft", 0.1), ("second", 0.05), ("gap", 0.02)):
        assert all(said[name] > least for said in done.said)
        # The machine may stop the script between the two looks at the clock.
        pairs = zip(done.said, told, strict=True)
        assert min(abs(said[name] - t[name]) for said, t in pairs) < 0.005, name
    assert growing.use_cache is False
    assert growing.inter_token_first_half_s >= 0.004 * 9
    assert growing.inter_token_second_half_s >= 0.004 * 24


def test_a_loop_that_looks_one_turn_late(generate: Any) -> None:
    """As on MPS with transformers 5.23: a forward too many, taken back again."""
    done = generate(
        """
        utils = sys.modules["transformers.generation.utils"]
        if not hasattr(utils, "DeferredStopCheck"):
            sys.exit()
        class Event:
            def record(self): pass
            def synchronize(self): pass
        torch.Event = lambda **options: Event()
        utils.DeferredStopCheck.is_supported = staticmethod(lambda *a, **k: True)
        tell_each_token()
        for options in (dict(), ending(4), dict(max_new_tokens=1)):
            forwards = []
            hook = model.register_forward_hook(lambda *a: forwards.append(1))
            out = model.generate(prompt, **{"max_new_tokens": 8, **options})
            hook.remove()
            say(tokens=out.shape[1] - 3, forwards=len(forwards))
        """
    )
    if not done.said:
        pytest.skip("this transformers does not look late")
    assert done.said == [
        {"tokens": 8, "forwards": 8},
        {"tokens": 4, "forwards": 5},
        {"tokens": 1, "forwards": 1},
    ]
    counted = {a.id: a.tokens for a in done.of("generation_advanced")}
    for said, ended in zip(done.said, done.of("generation_ended"), strict=True):
        assert ended.tokens == counted[ended.id] == said["tokens"]
        assert ended.ttft_s > 0


def test_calls_that_break_inside_calls_and_beside_them(generate: Any) -> None:
    """Errors; another model's `generate` inside this one's; one in a thread."""
    done = generate(
        """
        class Breaks:
            def __init__(self, error):
                self.error = error
            def __call__(self, ids, scores):
                if ids.shape[1] == 6:
                    raise self.error
                return torch.zeros(len(ids), dtype=torch.bool)
        for error in (ValueError("mine"), KeyboardInterrupt()):
            try:
                model.generate(prompt, max_new_tokens=9,
                               stopping_criteria=StoppingCriteriaList([Breaks(error)]))
            except BaseException as caught:
                say(same=caught is error)
        try:
            model.generate(prompt, max_new_tokens=9, no_such_option=1)
        except Exception as caught:
            say(kind=type(caught).__name__)
        model.generate(prompt, max_new_tokens=2)

        class Judge:
            other = llama(1)
            def __call__(self, ids, scores):
                self.other.generate(ids, max_new_tokens=5)
                return torch.zeros(len(ids), dtype=torch.bool)
        model.generate(prompt, max_new_tokens=4,
                       stopping_criteria=StoppingCriteriaList([Judge()]))
        tell_each_token()
        thread = threading.Thread(
            target=model.generate, args=(prompt,), kwargs={"max_new_tokens": 7})
        thread.start()
        thread.join()
        """
    )
    assert done.said == [{"same": True}, {"same": True}, {"kind": "ValueError"}]
    ended = done.of("generation_ended")
    assert len(done.of("generation_began")) == 6
    assert [(e.failed, e.tokens, e.hit_cap) for e in ended] == [
        (True, 3, None),
        (True, 3, None),
        (True, 0, None),
        (False, 2, True),
        (False, 4, True),
        (False, 7, True),
    ]
    assert [e.ttft_s is None for e in ended] == [i == 2 for i in range(6)]
    last = [a for a in done.of("generation_advanced") if a.id == ended[-1].id]
    assert [a.tokens for a in last] == list(range(1, 8))
