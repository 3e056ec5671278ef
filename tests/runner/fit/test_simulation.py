"""
The real stack, simulated: the table of Llama-3-8B, and small runs against real ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.answer import Fit
from trainwatch.runner.fit.device import DOES_NOT_FIT, FITS, SWAP, TIGHT
from trainwatch.runner.fit.devices import parse
from trainwatch.runner.fit.model import find_config
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulator import SIMULATION, Simulator

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
GIB = 1 << 30
FOUR_AND_HEAD = {"method": "partial", "layers": 4, "lm_head": True}
DEVICES = ("mps:16GB", "mps:24GB", "mps:36GB", "mps:48GB", "mps:64GB", "cuda:24GB")
NO = DOES_NOT_FIT


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(sys.executable) as started:
        yield started


@pytest.mark.parametrize(
    ("values", "peaks", "verdicts"),
    [
        ({}, {"mps": 27.7, "cuda": 22.8}, (NO, NO, TIGHT, FITS, FITS, TIGHT)),
        (
            {"gradient_checkpointing": True},
            {"mps": 16.8},
            (NO, TIGHT, FITS, FITS, FITS),
        ),
        ({"method": "partial"}, {"mps": 17.6}, (NO, TIGHT, FITS, FITS, FITS)),
        (
            FOUR_AND_HEAD,
            {"mps": 23.2, "cuda": 22.8},
            (NO, SWAP, FITS, FITS, FITS, TIGHT),
        ),
        (
            {**FOUR_AND_HEAD, "optimizer": "adamw"},
            {"mps": 24.7, "cuda": 25.4},
            (NO, NO, FITS, FITS, FITS, NO),
        ),
        ({"method": "full"}, {"mps": 59.8}, (NO, NO, NO, NO, SWAP)),
    ],
    ids=["lora", "lora-gc", "last-layer", "four-fused", "four-plain", "full"],
)
def test_llama_3_8b(
    simulator: Simulator,
    values: dict[str, Any],
    peaks: dict[str, float],
    verdicts: tuple[str, ...],
) -> None:
    fit = Fit(Plan(find_config("llama-3-8b"), **values), simulator)
    places = [fit.place(parse(name, {})) for name in DEVICES[: len(verdicts)]]
    for place in places:
        simulation = place.simulation
        assert simulation.method == SIMULATION
        expected = peaks[place.device.kind]
        assert simulation.peak.bytes / GIB == pytest.approx(expected, rel=0.02)
        assert sum(simulation.peak.bill.values()) == simulation.peak.bytes
        assert simulation.rss < 1e9
    assert tuple(place.verdict.word for place in places) == verdicts


def test_what_the_model_or_the_stack_does_not_have(simulator: Simulator) -> None:
    small = "llama:layers=2,hidden=64,ffn=128,heads=4,kv=4,vocab=100"
    with pytest.raises(RefusedError, match="no model_type 'nosuch'"):
        simulator.simulate(Plan({"model_type": "nosuch"}))
    with pytest.raises(RefusedError, match="3 layers are to be trained, the model has"):
        simulator.simulate(Plan(find_config(small), method="partial", layers=3))
    with pytest.raises(RefusedError, match="LoRA: Target modules"):
        simulator.simulate(Plan(find_config(small), targets=("nowhere",)))


UNFAKEABLE = """
import json, warnings
warnings.simplefilter("ignore")
from transformers import LlamaForCausalLM
from trainwatch.runner.fit.model import find_config
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulate import simulate

forward = LlamaForCausalLM.forward
def look_at_the_data(self, input_ids=None, **kwargs):
    if input_ids.max().item() > 7:
        raise AssertionError
    return forward(self, input_ids=input_ids, **kwargs)
LlamaForCausalLM.forward = look_at_the_data
small = "llama:layers=2,hidden=64,ffn=128,heads=4,kv=4,vocab=100"
print(json.dumps(simulate(Plan(find_config(small), method="full", seq=32))))
"""


def test_code_that_looks_at_data_gets_the_formula_and_the_operators_name() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", UNFAKEABLE], capture_output=True, text=True, check=True
    )
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert answer["method"] == "formula"
    assert answer["reason"].startswith("aten._local_scalar_dense.default: ")
    assert answer["peaks"][0]["bytes"] > answer["parameters"] * 2


def test_what_real_runs_hold_is_what_was_predicted() -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "fit.py", "--few", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    cases = json.loads(ended.stdout)
    assert len(cases) == 4
    for case in cases:
        assert case["by"] == "simulation"
        assert abs(case["error"]) < 0.02, case
    assert ended.returncode == 0
