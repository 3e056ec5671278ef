"""
The README's pictures, drawn by the app from a recorded run.

    python docs/pictures.py        # or: make pictures

`docs/recorded` is the log and the console of a real run (`examples/sft_lora.py`
on a CPU, paths shortened). Each picture is the screen at one moment of it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner.catalog import Catalog
from trainwatch.runner.console import Tail
from trainwatch.runner.fold import fold_all
from trainwatch.runner.follow import Follower
from trainwatch.runner.hands import Hands
from trainwatch.runner.verdict import judge
from trainwatch.runner.view import RunView
from trainwatch.tui.app import TrainwatchApp

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
PICTURES = HERE / "pictures"
SIZE = (120, 40)


@dataclass(frozen=True)
class Picture:
    """`until` picks the event after which the screen is drawn."""

    name: str
    until: Callable[[ev.Event], bool]
    keys: tuple[str, ...] = ()
    later_s: float = 0.4


def at_step_38(event: ev.Event) -> bool:
    return isinstance(event.body, ev.StepEnded) and event.body.step == 38


def ended(event: ev.Event) -> bool:
    return isinstance(event.body, ev.RunEnded)


ALL = (
    Picture("run", at_step_38),
    Picture("warnings", at_step_38, ("w",)),
    Picture("ended", ended, later_s=120.0),
)


class Moment:
    """A feed that shows one view for ever."""

    def __init__(self, view: RunView) -> None:
        self.view = view

    def read(self, budget_s: float = 0.05) -> RunView:
        return self.view

    def close(self) -> None:
        return


def view_at(picture: Picture) -> RunView:
    """The recorded run as it was seen at the picture's moment."""
    follower = Follower(RECORDED)
    events: list[ev.Event] = []
    while batch := follower.read():
        events += batch
    cut = next(i for i, event in enumerate(events) if picture.until(event))
    state = fold_all(events[: cut + 1])
    now = events[cut].time + picture.later_s
    lines = console_at(now)
    return RunView(state, judge(state, now), lines, len(lines), now)


def console_at(now: float) -> tuple[str, ...]:
    """The console as it was then, by the index of which byte came when."""
    index = (RECORDED / "console.jsonl").read_text().splitlines()
    later = [m["offset"] for m in map(json.loads, index) if m["time"] > now]
    data = (RECORDED / "console.log").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "console.log").write_bytes(data[: min(later, default=None)])
        tail = Tail(Path(name))
        while tail.read():
            pass
        tail.close()
        return tail.shown()


async def draw(picture: Picture) -> None:
    view = view_at(picture)
    app = TrainwatchApp(
        Catalog(),
        Hands(),
        lambda folder: Moment(view),
        RECORDED,
        clock=lambda: view.now,
    )
    async with app.run_test(size=SIZE) as pilot:
        while app.view.now != view.now:
            await pilot.pause(0.05)
        for key in picture.keys:
            await pilot.press(key)
        await pilot.pause(0.5)
        path = PICTURES / f"{picture.name}.svg"
        path.write_text(app.export_screenshot(title=f"trainwatch: {picture.name}"))
        print(path)


def main() -> None:
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    for picture in ALL:
        asyncio.run(draw(picture))


if __name__ == "__main__":
    main()
