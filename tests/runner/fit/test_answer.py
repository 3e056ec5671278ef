"""
The whole answer, with a simulator that computes peaks from the plan's numbers.
"""

from __future__ import annotations

import json
from typing import cast

from trainwatch.cli.fit import answer_lines, gib, remedy_lines
from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.answer import Fit, Place, document
from trainwatch.runner.fit.bill import CATEGORIES, Peak
from trainwatch.runner.fit.device import DOES_NOT_FIT, FITS, TIGHT
from trainwatch.runner.fit.devices import parse
from trainwatch.runner.fit.plan import Plan
from trainwatch.runner.fit.simulator import Simulation, Simulator
from trainwatch.runner.fit.trace import Trace

GIB = 1 << 30
PLAN = Plan({"model_type": "llama"}, model="a-model", batch=1, seq=1024)


class Played:
    """
    10 GiB of weights; 16 GiB of activations, half of that with checkpointing, and
    with half the sequence. TRL is not installed.
    """

    def __init__(self, method: str = "simulation") -> None:
        self.method = method
        self.asked: list[Plan] = []

    def simulate(self, plan: Plan, with_trace: bool = False) -> Simulation:
        self.asked.append(plan)
        if plan.trainer == "trl":
            raise RefusedError("no TRL")
        activations = 16 * plan.seq * GIB // 1024
        if plan.gradient_checkpointing:
            activations //= 2
        bill = dict.fromkeys(CATEGORIES, 0)
        bill["weights_frozen"] = 10 * GIB
        bill["activations_and_other"] = activations
        trace = Trace()
        trace.begin("setup")
        for size in bill.values():
            trace.allocate(size)
        simulated = self.method == "simulation"
        return Simulation(
            plan=plan,
            method=self.method,
            reason=None if simulated else "aten.nonzero.default: no fake form",
            peaks=(Peak(2, "backward", sum(bill.values()), bill),),
            parameters=5_000_000_000,
            trainable=5_000_000,
            targets=("q_proj",),
            seconds=1.5,
            rss=400_000_000,
            versions={"torch": "2.13.0"},
            trace=trace if with_trace and simulated else None,
        )


def places(names: str, played: Played | None = None) -> list[Place]:
    fit = Fit(PLAN, cast(Simulator, played or Played()))
    found = [fit.place(parse(name, {})) for name in names.split(",")]
    return [fit.with_remedies(place) for place in found]


def test_devices_that_run_the_same_share_a_simulation() -> None:
    played = Played()
    fit = Fit(PLAN, cast(Simulator, played))
    for name in ("mps:36GB", "mps:48GB", "cuda:24GB", "cuda:80GB", "cpu:64GB"):
        fit.place(parse(name, {}))
    assert [plan.attention for plan in played.asked] == ["math", "flash"]


def test_what_fits_is_left_alone_and_what_does_not_gets_changes() -> None:
    small, large = places("cuda:24GB,cuda:80GB")
    assert (small.verdict.word, large.verdict.word) == (DOES_NOT_FIT, FITS)
    assert large.remedies == ()
    assert [
        (r.change.words[0], r.peak // GIB, r.verdict.word) for r in small.remedies
    ] == [
        ("gradient checkpointing", 18, FITS),
        ("sequences of 512", 18, FITS),
    ]


def test_no_change_is_looked_for_where_the_weights_alone_do_not_fit() -> None:
    (tiny,) = places("mps:8GB")
    assert tiny.remedies == ()
    assert tiny.hopeless.startswith("the weights alone do not fit")


def test_blocks_that_find_no_room_make_it_tight() -> None:
    fit = Fit(PLAN, cast(Simulator, Played()))
    device = parse("cuda:29.1GB", {})
    assert device.verdict(26 * GIB).word == FITS
    place = fit.place(device)
    assert place.held is not None
    assert (place.verdict.word == TIGHT) is (place.held.full_in is not None)


def test_the_document_is_json_with_a_method_for_every_number() -> None:
    found = json.loads(json.dumps(document(PLAN, places("cuda:24GB,mps:64GB,cpu:8GB"))))
    assert found["schema"] == 1
    assert found["plan"]["seq"] == 1024
    assert [device["simulation"] for device in found["devices"]] == [0, 1, 0]
    assert {s["method"] for s in found["simulations"]} == {"simulation"}
    cuda, mps, cpu = found["devices"]
    assert cuda["verdict"] == "does_not_fit"
    assert cuda["changes"][0] == {
        "change": ["gradient checkpointing"],
        "peak": 18 * GIB,
        "verdict": "fits",
    }
    assert mps["allocator"]["method"].endswith("not run on hardware")
    assert cpu["allocator"] is None
    assert cpu["no_changes"].startswith("the weights alone")


def test_the_answer_in_words() -> None:
    found = places("cuda:24GB,mps:8GB")
    text = "\n".join(answer_lines(PLAN, found))
    assert "LoRA r16 on q_proj" in text
    assert "5,000,000,000 parameters, 5,000,000 trained (0.1 %)" in text
    assert "peak 26.0 GiB in backward of step 2" in text
    assert "weights frozen           10.0 GiB" in text
    assert "exp avg" not in text
    assert "✖ does not fit" in text
    remedies = "\n".join(remedy_lines(found))
    assert "gradient checkpointing   18.0 GiB  fits cuda:24GB" in remedies
    assert "mps:8GB: the weights alone do not fit" in remedies
    assert max(len(line) for line in text.splitlines()) < 120


def test_a_formula_is_said_to_be_one() -> None:
    found = places("cuda:24GB", Played("formula"))
    text = "\n".join(answer_lines(PLAN, found))
    assert "BY FORMULA" in text
    assert "aten.nonzero.default" in text
    assert "simulated in" not in text
    assert found[0].held is None
    assert "only looked for by simulation" in "\n".join(remedy_lines(found))


def test_bytes_in_the_units_of_devices() -> None:
    assert [gib(size) for size in (29_750_000_000, 45 << 20, 3 << 19, -5 * GIB)] == [
        "27.7 GiB",
        "45 MiB",
        "1.5 MiB",
        "-5.0 GiB",
    ]
