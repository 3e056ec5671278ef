"""Memory on the screen: its lines, its forecasts, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.content import Content
from textual.pilot import Pilot

from support import memory_scenes as scenes
from support.pilots import MakeApp, settled
from trainwatch.runner.limits import Limits, limits_of
from trainwatch.runner.view import RunView
from trainwatch.tui.panels.ledger import process_lines
from trainwatch.tui.panels.memory import (
    BUDGET,
    PHYSICAL,
    TORCH,
    bars,
    legend,
    remark,
    short,
)

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def pressing(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def act(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return act


@SIZES
@pytest.mark.parametrize("scene", [scenes.mac, scenes.will_not_fit, scenes.came_true])
def test_the_run_screen(
    snap_compare: Compare,
    make_app: MakeApp,
    scene: Callable[[], RunView],
    size: tuple[int, int],
) -> None:
    app = make_app(scene())
    assert snap_compare(app, terminal_size=size, run_before=pressing())


@SIZES
@pytest.mark.parametrize("scene", [scenes.mac, scenes.will_not_fit, scenes.came_true])
def test_the_memory_screen(
    snap_compare: Compare,
    make_app: MakeApp,
    scene: Callable[[], RunView],
    size: tuple[int, int],
) -> None:
    app = make_app(scene())
    assert snap_compare(app, terminal_size=size, run_before=pressing("m"))


def lead_of(view: RunView) -> Any:
    assert view.state.lead is not None
    return view.state.lead


@pytest.mark.parametrize("width", [40, 54, 78, 118])
def test_the_lines_of_a_mac_stand_where_they_belong(width: int) -> None:
    view = scenes.mac()
    memory = lead_of(view).memory
    limits = limits_of(memory, view.state.host)
    assert limits == Limits(
        (scenes.MAC_WORKING_SET, "recommended working set"),
        int(1.7 * scenes.MAC_WORKING_SET),
        scenes.MAC_RAM,
    )
    for line in bars(memory, view.state.host, width):
        text = line.plain
        assert line.cell_length <= width
        marked = [text.index(mark) for mark in (BUDGET, PHYSICAL, TORCH)]
        assert marked == sorted(set(marked))
        first = text.index("━")
        # From where the bar begins, the lines stand in the ratio of their bytes.
        share = (marked[0] - first) / (marked[2] - first)
        assert share == pytest.approx(1 / 1.7, abs=1.5 / (marked[2] - first))


def test_torch_above_ram_is_said_in_every_size() -> None:
    view = scenes.mac()
    lead = lead_of(view)
    line = legend(lead.memory, view.state.host, 78)
    assert line.plain.startswith(
        f"{BUDGET} budget 30.2 GB  {PHYSICAL} RAM 38.7 GB  {TORCH} torch 51.3 GB"
    )
    assert "it swaps first" in line.plain
    narrow = remark(lead, view, 54)
    assert narrow is not None
    assert narrow.plain.startswith("torch stops above RAM: swaps first")
    whole = " ".join(line.plain for line in process_lines(lead, view, 78))
    assert "swapping comes first, not an error" in " ".join(whole.split())


def test_a_forecast_that_does_not_fit_takes_the_place_of_the_rest() -> None:
    view = scenes.will_not_fit()
    lines = [line.plain for line in short(lead_of(view), view, 78)]
    assert lines[-1] == (
        "optimizer.step of step 1 will need 8.39 GB, 6.8 GB left of 25.4 GB (card)"
    )
    assert "fused=True would fit: it needs 5.59 GB" in text_of(view)


def test_what_came_of_a_forecast_stands_beside_it() -> None:
    text = text_of(scenes.came_true())
    assert "its state was 5.59 GB, off by +0.0 %" in text
    assert "fits: optimizer.step of step 1 will need" in text


def text_of(view: RunView) -> str:
    lines: list[Content] = process_lines(lead_of(view), view, 100)
    return " ".join(" ".join(line.plain for line in lines).split())
