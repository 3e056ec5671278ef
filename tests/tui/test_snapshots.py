"""How every screen looks. The pictures are looked at by eye when they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from support import scenes
from support.pilots import MakeApp, settled
from support.scenes import FakeCatalog
from trainwatch.runner.view import RunView

SMALL, HOME, WIDE = (80, 24), (120, 40), (200, 60)
Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [SMALL, HOME], ids=["80x24", "120x40"])


def pressing(*keys: str) -> Callable[[Pilot[Any]], Any]:
    """Wait for the run, then press `keys` one by one."""

    async def act(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return act


@SIZES
@pytest.mark.parametrize(
    "scene",
    [
        scenes.empty,
        scenes.live,
        scenes.stale,
        scenes.unsupervised,
        scenes.ended,
        scenes.out_of_memory,
        scenes.serious,
        scenes.two_ranks,
        scenes.generating,
        scenes.snapshotting,
        scenes.aborting,
        scenes.resumed,
        scenes.resumed_without,
        scenes.mapping,
        scenes.saving,
        scenes.partial,
        scenes.on_cuda,
        scenes.own_phases,
        scenes.slow,
        scenes.adopted,
        scenes.hostile,
    ],
)
def test_run_screen(
    snap_compare: Compare,
    make_app: MakeApp,
    scene: Callable[[], RunView],
    size: tuple[int, int],
) -> None:
    app = make_app(scene())
    assert snap_compare(app, terminal_size=size, run_before=pressing())


def test_run_screen_with_room(snap_compare: Compare, make_app: MakeApp) -> None:
    app = make_app(scenes.live())
    assert snap_compare(app, terminal_size=WIDE, run_before=pressing())


def test_run_screen_without_room(snap_compare: Compare, make_app: MakeApp) -> None:
    app = make_app(scenes.live())
    assert snap_compare(app, terminal_size=(40, 12), run_before=pressing())


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        ("w",),
        ("w", "j", "j"),
        ("l",),
        ("l", "slash", "l", "o", "s", "s"),
        ("m",),
        ("question_mark",),
        ("a",),
        ("i", "y"),
        ("colon",),
    ],
    ids=[
        "warnings",
        "third-warning",
        "console",
        "console-search",
        "memory",
        "help",
        "abort",
        "typing",
        "palette",
    ],
)
def test_screens_of_a_run(
    snap_compare: Compare,
    make_app: MakeApp,
    keys: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    app = make_app(scenes.serious())
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys))


@SIZES
@pytest.mark.parametrize(
    "keys",
    [
        ("w",),
        ("w", "G"),
        ("w", "slash", "n", "e", "w"),
        ("w", "m"),
        ("w", "e"),
    ],
    ids=["first", "last", "search", "mark", "export"],
)
def test_review(
    snap_compare: Compare,
    make_app: MakeApp,
    keys: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    app = make_app(scenes.reviewed())
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys))


def test_review_without_room(snap_compare: Compare, make_app: MakeApp) -> None:
    app = make_app(scenes.reviewed())
    assert snap_compare(app, terminal_size=(40, 12), run_before=pressing("w"))


@SIZES
def test_review_with_a_broken_file_of_rules(
    snap_compare: Compare, make_app: MakeApp, size: tuple[int, int]
) -> None:
    said = "/home/ada/.config/trainwatch/rules.toml:7: mark: family is missing"
    app = make_app(replace(scenes.reviewed(), problems=(said, said)))
    assert snap_compare(app, terminal_size=size, run_before=pressing("w"))


@SIZES
@pytest.mark.parametrize("key", ["w", "l", "m"])
def test_screens_of_a_run_that_has_just_begun(
    snap_compare: Compare, make_app: MakeApp, key: str, size: tuple[int, int]
) -> None:
    app = make_app(scenes.empty())
    assert snap_compare(app, terminal_size=size, run_before=pressing(key))


@SIZES
@pytest.mark.parametrize("filled", [True, False], ids=["runs", "none"])
def test_runs(
    snap_compare: Compare,
    make_app: MakeApp,
    catalog: FakeCatalog,
    filled: bool,
    size: tuple[int, int],
) -> None:
    if not filled:
        catalog.summaries = ()
    assert snap_compare(make_app(), terminal_size=size, run_before=pressing())


@SIZES
def test_launch(
    snap_compare: Compare, make_app: MakeApp, size: tuple[int, int]
) -> None:
    assert snap_compare(make_app(), terminal_size=size, run_before=pressing("n"))


@SIZES
def test_without_colour(
    snap_compare: Compare,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app(scenes.serious())
    assert snap_compare(app, terminal_size=size, run_before=pressing())


@SIZES
def test_with_ascii_only(
    snap_compare: Compare,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    monkeypatch.setenv("TRAINWATCH_ASCII", "1")
    app = make_app(scenes.serious())
    assert snap_compare(app, terminal_size=size, run_before=pressing())


@SIZES
def test_light(snap_compare: Compare, make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(scenes.serious())
    app.theme = "trainwatch-light"
    assert snap_compare(app, terminal_size=size, run_before=pressing())
