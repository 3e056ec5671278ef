"""Marking and exporting warnings by keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import scenes
from support.pilots import MakeApp, screen_text, settled, until
from support.scenes import FakeHands
from trainwatch.runner.outcome import Outcome
from trainwatch.runner.triage.marks import Mark
from trainwatch.tui.screens.mark import MarkScreen, mark_for
from trainwatch.tui.screens.warnings import WarningsScreen

SIZE = (120, 40)
SERIOUS = "numeric.no-gradient-input"
SAID = "None of the inputs have requires_grad=True. Gradients will be None"


@pytest.mark.parametrize(
    ("keys", "mark"),
    [
        (["enter"], Mark(SERIOUS, "", True, "serious", SAID)),
        (["j", "enter"], Mark(SERIOUS, "harmless", False, "serious", SAID)),
        (["G", "enter"], Mark(SERIOUS)),
    ],
)
async def test_a_mark_is_chosen_and_kept(
    make_app: MakeApp, hands: FakeHands, keys: list[str], mark: Mark
) -> None:
    hands.outcome = Outcome(True, "done", "harmless, for you, in /c/rules.toml")
    app = make_app(scenes.reviewed())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w", "m")
        assert isinstance(app.screen, MarkScreen)
        assert hands.calls == []
        await pilot.press(*keys)
        await until(pilot, lambda: app.asked and app.asked.outcome)
        assert hands.calls == [("mark", mark)]
        assert "mark done  harmless, for you, in /c/rules.toml" in screen_text(app)


@pytest.mark.parametrize("key", ["escape", "q", "m"])
async def test_nothing_is_marked_when_one_leaves(
    make_app: MakeApp, hands: FakeHands, key: str
) -> None:
    app = make_app(scenes.reviewed())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w", "m", key)
        assert isinstance(app.screen, WarningsScreen)
        assert hands.calls == []


async def test_without_warnings_there_is_nothing_to_mark(
    make_app: MakeApp, hands: FakeHands
) -> None:
    app = make_app(scenes.empty())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w", "m")
        assert isinstance(app.screen, WarningsScreen)


async def test_export_asks_where_and_says_where_it_went(
    make_app: MakeApp, hands: FakeHands
) -> None:
    hands.outcome = Outcome(True, "done", "written to /home/ada/docs/x.json")
    app = make_app(scenes.reviewed())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w", "e")
        assert "20260528-sft.md" in screen_text(app)
        await pilot.press("ctrl+u", *"x.json", "enter")
        await until(pilot, lambda: app.asked and app.asked.outcome)
        assert hands.calls == [
            ("export", "20260528-sft", Path("/home/ada/docs/x.json"))
        ]
        assert "written to /home/ada/docs/x.json" in screen_text(app)


async def test_a_lowered_serious_warning_stays_in_sight(make_app: MakeApp) -> None:
    app = make_app(scenes.reviewed())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w", "G")
        assert "yours (was serious) the adapter" in screen_text(app)
        assert "harmless · numeric · yours (was serious)" in screen_text(app)


def test_a_mark_remembers_what_was_judged_not_what_was_marked() -> None:
    lowered = scenes.reviewed().state.warnings["metrics.adapter-idle"]
    assert mark_for(lowered, "cleanup").was == "serious"
    assert mark_for(lowered, "known") == Mark(
        lowered.key, "harmless", True, "serious", lowered.text
    )
