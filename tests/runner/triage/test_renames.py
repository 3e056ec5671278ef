"""Names that changed: every entry by both sides of its versions."""

from __future__ import annotations

import pytest
from packaging.version import Version

from trainwatch.runner.triage.renames import (
    PACKAGES,
    Misnomer,
    Rename,
    misnomers,
    parse,
    renamed,
    renames,
)

NEW = {
    "transformers": "5.23.0",
    "trl": "1.16.0",
    "peft": "0.21.2",
    "accelerate": "1.15.0",
    "datasets": "5.2.0",
    "torch": "2.13.0+cpu",
}


def owner_of(rename: Rename) -> str:
    pattern = rename.owner[0] if rename.owner else ""
    return {"*For*": "LlamaForCausalLM", "*Config": "JsonConfig"}.get(pattern, pattern)


def misnomer(rename: Rename, name: str) -> Misnomer:
    package = rename.package if rename.kind in ("import", "module") else ""
    return Misnomer(rename.kind, name, owner_of(rename), package)


GONE = [(rename, old) for rename in renames() for old in rename.old if rename.gone]
CAME = [rename for rename in renames() if rename.came and rename.new]


def test_there_are_many_and_each_has_a_source() -> None:
    assert len(renames()) >= 25
    for rename in renames():
        assert rename.source, rename
        assert rename.package in PACKAGES


@pytest.mark.parametrize(("rename", "old"), GONE, ids=lambda x: getattr(x, "new", x))
def test_a_name_that_is_gone(rename: Rename, old: str) -> None:
    found = renamed(misnomer(rename, old), {rename.package: rename.gone})
    assert found is not None
    assert found.certain
    assert old in found.summary
    assert f"since {rename.gone}" in found.summary
    assert found.do
    before = Version(rename.gone)
    older = f"{before.major - 1}.9" if not before.minor else f"{before.major}.0"
    earlier = renamed(misnomer(rename, old), {rename.package: older})
    assert earlier is None or "since" not in earlier.summary


@pytest.mark.parametrize("rename", CAME, ids=lambda rename: rename.new)
def test_a_name_that_has_not_come_yet(rename: Rename) -> None:
    before = Version(rename.came)
    older = f"{before.major - 1}.9" if not before.minor else f"{before.major}.0"
    found = renamed(misnomer(rename, rename.new), {rename.package: older})
    assert found is not None
    assert f"yet, which came with {rename.came}" in found.summary
    now = renamed(misnomer(rename, rename.new), {rename.package: rename.came})
    assert now is None or "since" in now.summary


@pytest.mark.parametrize(
    ("kind", "message", "summary"),
    [
        (
            "TypeError",
            "SFTTrainer.__init__() got an unexpected keyword argument 'tokenizer'",
            "SFTTrainer() of trl 1.16.0 has no argument `tokenizer` since 0.16: it is "
            "`processing_class`",
        ),
        (
            "TypeError",
            "TrainingArguments.__init__() got an unexpected keyword argument "
            "'evaluation_strategy'",
            "TrainingArguments() of transformers 5.23.0 has no argument "
            "`evaluation_strategy` since 4.51: it is `eval_strategy`",
        ),
        (
            "TypeError",
            "SFTConfig.__init__() got an unexpected keyword argument 'no_cuda'. Did "
            "you mean 'use_cpu'?",
            "SFTConfig() of transformers 5.23.0 has no argument `no_cuda` since 5.0: "
            "it is `use_cpu`",
        ),
        (
            "TypeError",
            "SFTTrainer.__init__() got an unexpected keyword argument "
            "'dataset_text_field'",
            "SFTTrainer() of trl 1.16.0 has no argument `dataset_text_field` since "
            "0.13: it belongs in SFTConfig",
        ),
        (
            "TypeError",
            "Qwen3ForCausalLM.__init__() got an unexpected keyword argument "
            "'load_in_8bit'",
            "Qwen3ForCausalLM() of transformers 5.23.0 has no argument `load_in_8bit` "
            "since 5.0: it is `quantization_config`",
        ),
        (
            "ImportError",
            "cannot import name 'AdamW' from 'transformers' (/v/transformers/x.py)",
            "transformers 5.23.0 has no AdamW since 4.50",
        ),
        (
            "ModuleNotFoundError",
            "No module named 'torch._six'",
            "torch 2.13.0+cpu has no module torch._six since 2.0",
        ),
        (
            "AttributeError",
            "module 'datasets' has no attribute 'load_metric'",
            "datasets 5.2.0 has no load_metric since 3.0",
        ),
        (
            "AttributeError",
            "'SFTTrainer' object has no attribute 'tokenizer'",
            "SFTTrainer of transformers 5.23.0 has no attribute tokenizer since 5.0: "
            "it is `processing_class`",
        ),
        (
            "ValueError",
            "Some specified arguments are not used by the HfArgumentParser: "
            "['--overwrite_output_dir', 'True']",
            "transformers 5.23.0 has no argument `overwrite_output_dir` since 5.0",
        ),
        (
            "ValueError",
            "BuilderConfig JsonConfig(name='default', version=0.0.0) doesn't have a "
            "'use_auth_token' key.",
            "JsonConfig() of datasets 5.2.0 has no argument `use_auth_token` since "
            "3.0: it is `token`",
        ),
    ],
)
def test_errors_as_they_are_written(kind: str, message: str, summary: str) -> None:
    (named,) = misnomers(kind, f"{kind}: {message}")
    found = renamed(named, NEW)
    assert found is not None
    assert found.summary == summary


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("TypeError", "unsupported operand type(s) for +: 'int' and 'str'"),
        ("ValueError", "bad value"),
        ("AttributeError", "x"),
        ("ModuleNotFoundError", "No module named 'torch'"),
        ("KeyError", "'tokenizer'"),
    ],
)
def test_other_errors_name_nothing(kind: str, message: str) -> None:
    assert misnomers(kind, message) == []


@pytest.mark.parametrize(
    "named",
    [
        Misnomer("argument", "tokenizer", "MyTrainer2"),
        Misnomer("argument", "packing", "my_function"),
        Misnomer("import", "AdamW", package="torchx"),
        Misnomer("argument", "nothing_of_the_kind", "SFTTrainer"),
    ],
)
def test_the_users_own_names_are_left_alone(named: Misnomer) -> None:
    assert renamed(named, NEW) is None


def test_without_a_version_it_is_not_certain() -> None:
    found = renamed(Misnomer("argument", "tokenizer", "SFTTrainer"), {})
    assert found is not None
    assert not found.certain
    assert "of trl has" in found.summary
    assert renamed(Misnomer("argument", "processing_class", "SFTTrainer"), {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "[[rename]]\nold = 'x'\n",
        "[[rename]]\npackage='trl'\nold='x'\nnew='y'\nsource=['a']\n",
        "[[rename]]\npackage='trl'\nold='x'\ngone='1'\nsource=['a']\n",
        "[[rename]]\npackage='trl'\nold='x'\nnew='y'\ngone='one'\nsource=['a']\n",
        "[[rename]]\npackage='trl'\nkind='z'\nold='x'\nnew='y'\ngone='1'\nsource=['a']\n",
        "not toml",
    ],
)
def test_an_entry_without_what_it_needs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rename|Expected"):
        parse(text)
