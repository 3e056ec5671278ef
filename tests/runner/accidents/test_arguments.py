"""Words of a command, as the shell passed them."""

from __future__ import annotations

import pytest

from trainwatch.runner.accidents.arguments import slips

SOURCE = """
parser.add_argument("--lr", type=float)
parser.add_argument("--beta", type=float)
parser.add_argument("--adam-beta1")
@dataclass
class Arguments:
    top_k: int = 5
"""


@pytest.mark.parametrize(
    ("words", "rule", "do"),
    [
        (["--lr1e-4"], "shell.glued", "Write --lr 1e-4"),
        (["--epochs3"], "shell.glued", "Write --epochs 3"),
        (["--num_train_epochs0.5"], "shell.glued", "Write --num_train_epochs 0.5"),
        (["--beta0.1"], "shell.glued", "Write --beta 0.1"),
        (["--top_k5"], "shell.glued", "Write --top_k 5"),
        (["--beta", "0.1--lr", "2"], "shell.glued", "Write 0.1 --lr"),
        (["–lr", "1"], "shell.dash", "Retype it: --lr"),
        (["—lr", "1"], "shell.dash", "Retype it: --lr"),
        (["--lr\u00a01e-4"], "shell.blank", "Retype the blanks"),
        (["--lr", "1", " "], "shell.backslash", "A backslash before a blank"),
        (["“a", "b”"], "", ""),
        (["“prompt”"], "shell.quotes", "Retype the quotes"),
        (["--lr", "1\r"], "shell.carriage-return", "Windows line ends"),
    ],
)
def test_slips(words: list[str], rule: str, do: str) -> None:
    found = slips(["python", *words], SOURCE)
    assert [accident.rule for accident in found] == ([rule] if rule else [])
    if found:
        assert do in found[0].do
        assert found[0].status == "likely"
        assert found[0].severity == "attention"


@pytest.mark.parametrize(
    "word",
    [
        "--fp16",
        "--bf16",
        "--tf32",
        "--int8",
        "--load_in_4bit",
        "--adam_beta1",
        "--adam-beta1",
        "--stage3",
        "--resume-from-step100",
        "--lr=1e-4",
        "-lr1",
        "-5",
        "--",
        "1e-4",
        "Qwen/Qwen3-0.6B",
        "out--final",
        "a–b",
        "",
        "https://x.org/a--lr",
        "--top_p0",
        "Bonjour\u00a0: \u00e7a va",
        "\U0001f469\u200d\U0001f4bb",
    ],
)
def test_ordinary_words_are_no_slips(word: str) -> None:
    assert slips(["python", "train.py", word], SOURCE) == []
