"""Phases of a user's own and of a reference, from a real run to `show --json`."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import Any

import pytest

from support.runs import Trainwatch

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.e2e

OWN = """
    import time
    from trainwatch import phase

    @phase("reward")
    def reward():
        time.sleep(0.2)

    for step in range(3):
        with phase("roll out \\x1b[2J"):
            time.sleep(0.3)
            reward()
    with phase("report"):
        time.sleep(2.2)
"""


def rank(document: dict[str, Any]) -> dict[str, Any]:
    (process,) = (p for p in document["processes"] if p["step"] is not None)
    found: dict[str, Any] = process
    return found


def test_own_phases_where_trainwatch_is_not_installed(
    trainwatch: Trainwatch, tmp_path: Path
) -> None:
    """A bare environment: no torch, and the import is there all the same."""
    venv.create(tmp_path / "bare")
    python = os.fspath(tmp_path / "bare" / "bin" / "python")
    missing = subprocess.run(
        [python, "-c", "import trainwatch"], capture_output=True, cwd=tmp_path
    )
    assert missing.returncode == 1
    script = tmp_path / "mine.py"
    script.write_text(textwrap.dedent(OWN))
    done = trainwatch("run", "--plain", "--", python, os.fspath(script))
    assert done.returncode == 0, done.stdout
    assert "report  2.2 s" in done.stdout
    assert "\x1b" not in done.stdout
    document = trainwatch.show()
    (process,) = document["processes"]
    phases = process["phases"]
    assert phases["reward"]["count"] == phases["roll out [2J"]["count"] == 3
    assert phases["reward"]["total_s"] == pytest.approx(0.6, abs=0.3)
    assert phases["roll out [2J"]["total_s"] == pytest.approx(0.9, abs=0.3)
    assert phases["report"]["total_s"] == pytest.approx(2.2, abs=0.3)
    assert document["probe"]["errors"] == []


DPO = """
    import sys
    from pathlib import Path
    from datasets import Dataset
    from peft import LoraConfig
    from tiny import model_folder
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from trainwatch import phase

    folder = model_folder(Path("model"), 0)
    rows = Dataset.from_list(
        [{"prompt": f"a b {n}", "chosen": " c d", "rejected": " e f"} for n in range(8)]
    )
    def model():
        return AutoModelForCausalLM.from_pretrained(folder)

    class Judged(DPOTrainer):
        def compute_loss(self, *args, **kwargs):
            with phase("judge"):
                return super().compute_loss(*args, **kwargs)

    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM")
    more = {
        "lora": {"peft_config": lora},
        "explicit": {"ref_model": model()},
        "precomputed": {"ref_model": model()},
    }[sys.argv[1]]
    args = DPOConfig(
        "out", max_steps=3, per_device_train_batch_size=2, bf16=False, use_cpu=True,
        report_to="none", save_strategy="no", eval_strategy="steps", eval_steps=2,
        gradient_accumulation_steps=2, logging_steps=1, disable_tqdm=True,
        precompute_ref_log_probs=sys.argv[1] == "precomputed",
    )
    Judged(
        model=model(), args=args, train_dataset=rows, eval_dataset=rows.select([0, 1]),
        processing_class=AutoTokenizer.from_pretrained(folder), **more,
    ).train()
"""


@pytest.mark.parametrize("kind", ["lora", "explicit", "precomputed"])
def test_the_reference_of_dpo(
    trainwatch: Trainwatch, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setenv("PYTHONPATH", os.fspath(ROOT / "examples"))
    script = tmp_path / "prefer.py"
    script.write_text(textwrap.dedent(DPO))
    command = [sys.executable, os.fspath(script), kind]
    done = trainwatch("run", "--plain", "--", *command, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:]
    document = trainwatch.show()
    phases = rank(document)["phases"]
    assert document["probe"]["errors"] == []
    assert phases["forward"]["count"] == 6
    assert phases["evaluate"]["count"] >= 1
    if kind == "precomputed":
        assert "reference" not in phases
        # The rest of the data is prepared in some hundredths of a second.
        assert phases["data"]["total_s"] > 0.05
    else:
        assert phases["reference"]["count"] == phases["forward"]["count"]
        assert phases["reference"]["total_s"] < phases["backward"]["total_s"] * 5
        assert "reference" in done.stdout
    # Its share of an evaluation is told too, outside the steps.
    assert phases["judge"]["count"] > 6
