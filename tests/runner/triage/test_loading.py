"""Loading reports, by the keys that they name."""

from __future__ import annotations

import pytest

from trainwatch.runner.triage.loading import LoadingReport, judge, report_in

TABLE = """\
\x1b[1mLlamaForSequenceClassification LOAD REPORT\x1b[0m from: /models/x
Key                                   | Status     |  |
--------------------------------------+------------+--+-
lm_head.weight                        | UNEXPECTED |  |
score.weight                          | MISSING    |

Notes:
- UNEXPECTED:\tcan be ignored when loading from different task/architecture
- MISSING:\tthose params were newly initialized
"""


def table(*rows: str, model: str = "LlamaForCausalLM") -> str:
    lines = [f"{model} LOAD REPORT from: x", "Key | Status |  |", "----+------+--+-"]
    return "\n".join([*lines, *rows, "", "Notes:", "- MISSING:\tthose params"])


def test_a_table_is_read() -> None:
    plain = TABLE.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert report_in(plain) == LoadingReport(
        "LlamaForSequenceClassification", ("score.weight",), ("lm_head.weight",)
    )


def test_a_sentence_is_read() -> None:
    missing = (
        "Some weights of BertForSequenceClassification were not initialized from the "
        "model checkpoint at bert-base-uncased and are newly initialized: "
        "['classifier.bias', 'classifier.weight']\nYou should probably TRAIN this model"
    )
    assert report_in(missing) == LoadingReport(
        "BertForSequenceClassification", ("classifier.bias", "classifier.weight")
    )
    unused = (
        "Some weights of the model checkpoint at bert-base-uncased were not used when "
        "initializing BertModel: ['cls.predictions.bias']\n- This IS expected if"
    )
    assert report_in(unused) == LoadingReport(
        "BertModel", unexpected=("cls.predictions.bias",)
    )
    shapes = (
        "Some weights of ViTForImageClassification were not initialized from the model "
        "checkpoint at x and are newly initialized because the shapes did not match:\n"
        "- classifier.weight: found shape torch.Size([9, 7]) in the checkpoint and "
        "torch.Size([1, 7]) in the model instantiated"
    )
    assert report_in(shapes) == LoadingReport(
        "ViTForImageClassification", mismatched=("classifier.weight",)
    )


@pytest.mark.parametrize(
    "text", ["", "newly initialized", "Key | Status", "a | MISSINGX"]
)
def test_what_names_no_key_is_no_report(text: str) -> None:
    assert report_in(text) is None


@pytest.mark.parametrize(
    ("row", "model", "severity"),
    [
        ("score.weight | MISSING |", "LlamaForSequenceClassification", "attention"),
        ("qa_outputs.bias | MISSING |", "BertForQuestionAnswering", "attention"),
        ("model.layers.{0...31}.mlp.up_proj.weight | MISSING |", "", "serious"),
        ("transformer.h.0.attn.c_attn.weight | MISSING |", "", "serious"),
        ("model.embed_tokens.weight | MISSING |", "LlamaForCausalLM", "serious"),
        ("lm_head.weight | MISSING |", "LlamaForCausalLM", "serious"),
        ("lm_head.weight | MISSING |", "LlamaForSequenceClassification", "attention"),
        ("base.q_proj.lora_A.default.weight | MISSING |", "PeftModel", "serious"),
        ("model.rotary_emb.inv_freq | MISSING |", "LlamaForCausalLM", "harmless"),
        ("classifier.weight | MISMATCH |", "ViTForImageClassification", "attention"),
        ("model.layers.3.mlp.up_proj.weight | MISMATCH |", "", "serious"),
        ("lm_head.weight | UNEXPECTED |", "LlamaForSequenceClassification", "harmless"),
        ("model.layers.7.mlp.up_proj.weight | UNEXPECTED |", "", "serious"),
        ("mtp.layers.0.mlp.up_proj.weight | UNEXPECTED |", "", "harmless"),
        ("model.visual.blocks.0.weight | UNEXPECTED |", "", "attention"),
        ("something.new | MISSING |", "", None),
        ("something.new | UNEXPECTED |", "", None),
    ],
)
def test_keys_decide(row: str, model: str, severity: str | None) -> None:
    report = report_in(table(row, model=model or "LlamaForCausalLM"))
    assert report is not None
    found = judge(report)
    assert (found.severity if found else None) == severity
    if found:
        assert row.split(" |")[0] in found.shown


def test_the_worst_key_decides_and_stands_first() -> None:
    report = report_in(
        table("score.weight | MISSING |", "model.layers.{0, 1}.x.weight | MISSING |")
    )
    assert report is not None
    found = judge(report)
    assert found is not None
    assert found.severity == "serious"
    assert found.shown.startswith("layers of the model")


def test_a_list_that_was_cut_is_never_called_better() -> None:
    text = (
        "Some weights of BertForSequenceClassification were not initialized from the "
        "model checkpoint at x and are newly initialized: ['classifier.weight', 'bert"
    )
    report = report_in(text)
    assert report is not None
    assert not report.whole
    assert judge(report) is None
    lost = report_in(text.replace("classifier.weight", "bert.encoder.layer.0.weight"))
    assert lost is not None
    found = judge(lost)
    assert found is not None
    assert found.severity == "serious"
