"""Renaming, removing and pruning in the list of runs."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from support.pilots import MakeApp, screen_text, settled, until
from support.scenes import SUMMARIES, FakeCatalog
from trainwatch.runner.errors import RefusedError
from trainwatch.tui.screens.remove import RemoveScreen
from trainwatch.tui.screens.runs import RunsScreen
from trainwatch.tui.widgets.prompt import Prompt

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_rename_the_run_under_the_cursor(
    make_app: MakeApp, catalog: FakeCatalog, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("j", "r")
        field = app.screen.query_one(Prompt).query_one(Input)
        assert field.value == SUMMARIES[1].name
        field.value = "other"
        await pilot.press("enter")
        await until(pilot, lambda: "now called other" in screen_text(app))
        assert catalog.changed == [("rename", SUMMARIES[1].folder, "other")]
        await pilot.press("j", "r", "escape", "j")
        assert not app.screen.query_one(Prompt).open
    assert len(catalog.changed) == 1


async def test_a_refusal_is_shown(make_app: MakeApp, catalog: FakeCatalog) -> None:
    catalog.error = RefusedError("not renamed: \x1b[2J[bold]no[/]")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("r", "enter")
        await until(pilot, lambda: "not renamed: [bold]no[/]" in screen_text(app))


@pytest.mark.parametrize("size", SIZES)
async def test_remove_asks_and_takes_only_y(
    make_app: MakeApp, catalog: FakeCatalog, size: tuple[int, int]
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("j", "j", "x")
        assert isinstance(app.screen, RemoveScreen)
        text = screen_text(app)
        assert "Remove this run?" in text
        assert SUMMARIES[2].name in text
        await pilot.press("enter")
        assert isinstance(app.screen, RemoveScreen)
        await pilot.press("escape")
        assert catalog.changed == []
        await pilot.press("x", "y")
        await until(pilot, lambda: "removed sft-lr-1e-3: 1 MB" in screen_text(app))
    assert catalog.changed == [("remove", SUMMARIES[2].folder)]


async def test_a_run_that_goes_on_is_not_removed(
    make_app: MakeApp, catalog: FakeCatalog
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("x")
        assert isinstance(app.screen, RunsScreen)
        assert "still going: abort it first" in screen_text(app)
    assert catalog.changed == []


async def test_prune_asks_how_many_and_which(
    make_app: MakeApp, catalog: FakeCatalog
) -> None:
    over = [run for run in SUMMARIES if run.ended is not None]
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("p", "x", "enter")
        assert "x is not a number of runs" in screen_text(app)
        await pilot.press("p", *"99", "enter")
        await until(pilot, lambda: "nothing to remove" in screen_text(app))
        await pilot.press("p", "0", "enter")
        await until(pilot, lambda: isinstance(app.screen, RemoveScreen))
        assert f"Remove these {len(over)} runs?" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: f"removed {len(over)} runs" in screen_text(app))
    assert [folder for _, folder in catalog.changed] == [r.folder for r in over]


async def test_a_read_only_list_changes_nothing(
    make_app: MakeApp, catalog: FakeCatalog
) -> None:
    app = make_app()
    app.read_only = True
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for key in "rxpn":
            await pilot.press(key)
            assert isinstance(app.screen, RunsScreen)
            assert not app.screen.query_one(Prompt).open
        assert "only looks" in screen_text(app)
        assert "remove" not in screen_text(app).splitlines()[-1]
    assert catalog.changed == []
