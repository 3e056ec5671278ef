from __future__ import annotations

from trainwatch.runner.fit.changes import search, singles
from trainwatch.runner.fit.plan import Plan

CONFIG = {"model_type": "llama", "num_hidden_layers": 8}


def names(plan: Plan) -> list[str]:
    return [change.words[0] for change in singles(plan)]


def test_only_what_the_plan_does_not_have_is_a_change() -> None:
    assert names(Plan(CONFIG, optimizer="adamw-foreach", batch=3)) == [
        "fused AdamW",
        "gradient checkpointing",
        "batch 1, accumulate 3",
        "sequences of 512",
        "TRL's loss in chunks",
        "Adafactor for AdamW",
    ]
    least = Plan(
        CONFIG, seq=64, optimizer="sgd", gradient_checkpointing=True, trainer="trl"
    )
    assert names(least) == []


def test_partial_training_can_train_less() -> None:
    plan = Plan(CONFIG, method="partial", layers=4, lm_head=True, optimizer="sgd")
    assert names(plan)[-3:] == ["lm_head frozen", "only 2 layers", "LoRA r16 instead"]


def peak_of(plan: Plan) -> int | None:
    """
    A machine on which checkpointing and shorter sequences help, and TRL is missing.
    """
    if plan.trainer == "trl":
        return None
    return 100 - 30 * plan.gradient_checkpointing - 20 * (plan.seq < 1024)


def found(limit: int) -> list[tuple[tuple[str, ...], int]]:
    plan = Plan(CONFIG)
    return [
        (change.words, peak)
        for change, peak in search(plan, 100, peak_of, lambda peak: peak <= limit)
    ]


def test_a_single_change_that_fits_is_enough() -> None:
    assert found(75) == [(("gradient checkpointing",), 70), (("sequences of 512",), 80)]


def test_two_that_fit_are_a_choice_and_the_search_ends() -> None:
    asked: list[Plan] = []

    def counted(plan: Plan) -> int | None:
        asked.append(plan)
        return peak_of(plan)

    assert len(list(search(Plan(CONFIG), 100, counted, lambda peak: peak < 90))) == 2
    assert len(asked) == 2


def test_changes_are_taken_together_where_none_is_enough() -> None:
    assert found(60)[2:] == [(("gradient checkpointing", "sequences of 512"), 50)]


def test_nothing_is_claimed_where_nothing_helps() -> None:
    assert list(search(Plan(CONFIG), 100, lambda plan: 100, lambda peak: False)) == []
    assert max(peak for _, peak in found(10)) <= 80
