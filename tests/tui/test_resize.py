"""Every size works: nothing crashes, the keys stay in sight."""

from __future__ import annotations

import pytest

from support import scenes
from support.pilots import MakeApp, screen_text, settled

STORM = ((40, 12), (300, 80), (20, 5), (99, 30), (180, 54), (80, 24))


@pytest.mark.parametrize("key", ["", "w", "l", "m", "a", "question_mark"])
async def test_a_storm_of_sizes(make_app: MakeApp, key: str) -> None:
    app = make_app(scenes.serious())
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        if key:
            await pilot.press(key)
        for width, height in (
            (40, 12),
            (300, 80),
            (20, 5),
            (99, 30),
            (180, 54),
            (80, 24),
        ):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            lines = screen_text(app).split("\n")
            assert len(lines) == height
            assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize(
    "scene", [scenes.live, scenes.serious, scenes.two_ranks, scenes.generating]
)
async def test_keys_and_cost_are_always_in_sight(
    make_app: MakeApp, scene: object, size: tuple[int, int]
) -> None:
    app = make_app(scene())  # type: ignore[operator]
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        lines = screen_text(app).split("\n")
        assert "? help" in lines[-2]
        assert "events dropped" in lines[-1]
