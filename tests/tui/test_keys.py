"""What the keys do to a run, and what they never do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from support import scenes
from support.pilots import MakeApp, screen_text, settled, until
from support.scenes import FOLDER, FakeCatalog, FakeHands
from trainwatch.runner.errors import LaunchError, RefusedError
from trainwatch.runner.outcome import Outcome
from trainwatch.runner.state import Checkpoint
from trainwatch.tui.app import Left
from trainwatch.tui.messages import RunUpdated
from trainwatch.tui.screens.confirm import ConfirmScreen, at_stake
from trainwatch.tui.screens.console import ConsoleScreen
from trainwatch.tui.screens.launch import LaunchScreen
from trainwatch.tui.screens.run import RunScreen
from trainwatch.tui.screens.runs import RunsScreen
from trainwatch.tui.screens.stack import StackScreen
from trainwatch.tui.screens.warnings import WarningsScreen
from trainwatch.tui.widgets.lines import Lines
from trainwatch.tui.widgets.prompt import Prompt

SIZE = (120, 40)


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        (["enter"], "step"),
        (["j", "enter"], "now"),
        (["j", "j", "enter"], "tree"),
        (["down", "down", "down", "enter"], "kill"),
    ],
)
async def test_abort_asks_and_then_does_what_was_chosen(
    make_app: MakeApp, hands: FakeHands, keys: list[str], how: str
) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("a")
        assert isinstance(app.screen, ConfirmScreen)
        assert scenes.NAME in screen_text(app)
        assert hands.calls == []
        await pilot.press(*keys)
        await until(pilot, lambda: hands.calls)
        assert hands.calls == [("abort", FOLDER, how)]
        await until(pilot, lambda: app.asked and app.asked.outcome)
        assert "abort done" in screen_text(app)


async def test_what_is_at_stake_goes_on_while_abort_asks(make_app: MakeApp) -> None:
    view = scenes.live()
    app = make_app(view)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("a")
        ended = scenes.ended()
        app.post_message(RunUpdated(replace(view, now=view.now + 60)))
        later = at_stake(view.state, view.now + 60)
        assert later != at_stake(view.state, view.now)
        await until(pilot, lambda: later in screen_text(app))
        app.post_message(RunUpdated(ended))
        await until(pilot, lambda: "it has ended by itself" in screen_text(app))


@pytest.mark.parametrize("key", ["escape", "q", "n"])
async def test_abort_can_be_thought_better_of(
    make_app: MakeApp, hands: FakeHands, key: str
) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("a", key)
        assert isinstance(app.screen, RunScreen)
        assert app.is_running
        assert hands.calls == []


async def test_a_run_that_is_over_is_not_aborted(
    make_app: MakeApp, hands: FakeHands
) -> None:
    app = make_app(scenes.ended())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("a", "s", "i")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert "the run is over" in screen_text(app)
        assert hands.calls == []


@pytest.mark.parametrize("key", ["q", "d", "ctrl+q", "ctrl+c"])
async def test_leaving_does_nothing_to_the_run(
    make_app: MakeApp, hands: FakeHands, key: str
) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await pilot.pause()
    assert app.return_value == Left(FOLDER, scenes.NAME, going_on=True)
    assert hands.calls == []


async def test_leaving_a_run_that_is_over(make_app: MakeApp) -> None:
    app = make_app(scenes.ended())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value == Left(FOLDER, scenes.NAME, going_on=False)


async def test_snapshot_shows_its_outcome(make_app: MakeApp, hands: FakeHands) -> None:
    hands.outcome = Outcome(False, "refused", "no probe can save here")
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await until(pilot, lambda: app.asked and app.asked.outcome)
        assert hands.calls == [("snapshot", FOLDER)]
        assert "snapshot refused  no probe can save here" in screen_text(app)


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_a_second_snapshot_within_a_minute_is_asked_for(
    make_app: MakeApp, hands: FakeHands, key: str
) -> None:
    view = scenes.live()
    last = Checkpoint(
        "out/checkpoint-143", 143, complete=True, ours=True, seen=view.now - 12
    )
    state = replace(view.state, checkpoints={last.path: last})
    app = make_app(replace(view, state=state))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s")
        assert "checkpoint-143 was saved 12 s ago" in screen_text(app)
        assert hands.calls == []
        await pilot.press(key)
        if key == "enter":
            await until(pilot, lambda: hands.calls)
        assert hands.calls == (
            [("snapshot", FOLDER, "again")] if key == "enter" else []
        )


async def test_stack_shows_the_file_it_wrote(
    make_app: MakeApp, hands: FakeHands, tmp_path: Path
) -> None:
    file = tmp_path / "stacks.txt"
    file.write_text(
        'Thread 0x1 (most recent call first):\n  File "train.py", line 12\n'
    )
    hands.outcome = Outcome(True, "done", "1 process", str(file))
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("t")
        assert isinstance(app.screen, StackScreen)
        await until(pilot, lambda: 'File "train.py", line 12' in screen_text(app))
        assert hands.calls == [("stack", FOLDER)]
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)


async def test_typing_sends_a_line(make_app: MakeApp, hands: FakeHands) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("i", "3", "q", "enter")
        await until(pilot, lambda: hands.calls)
        assert hands.calls == [("type", FOLDER, b"3q\n")]
        await pilot.press("n", "o", "escape")
        await pilot.press("i", "enter")
        await until(pilot, lambda: len(hands.calls) == 2)
        assert hands.calls[1] == ("type", FOLDER, b"\n")
        await pilot.press("escape")
        assert not app.screen.query_one(Prompt).open
        assert app.is_running


async def test_the_question_stays_in_sight_while_typing(make_app: MakeApp) -> None:
    app = make_app(scenes.serious())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await pilot.pause()
        assert "to the program:" in screen_text(app)
        assert "143/500 [10:31<26:02" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "Warnings" in screen_text(app)


async def test_typing_says_why_it_was_refused(
    make_app: MakeApp, hands: FakeHands
) -> None:
    hands.outcome = Outcome(False, "refused", "the program has no terminal")
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("i", "x", "enter")
        await until(pilot, lambda: "has no terminal" in screen_text(app))


async def test_a_hand_that_raises_is_shown(
    make_app: MakeApp, hands: FakeHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(folder: object, again: bool = False) -> Outcome:
        raise OSError("control.sock is gone")

    monkeypatch.setattr(hands, "snapshot", snapshot)
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await until(pilot, lambda: "control.sock is gone" in screen_text(app))


async def test_slash_filters_warnings(make_app: MakeApp) -> None:
    app = make_app(scenes.serious())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("w")
        assert "torch_dtype" in screen_text(app)
        await pilot.press("slash", *"isin")
        text = screen_text(app)
        assert "aten::isin" in text
        assert "torch_dtype" not in text
        await pilot.press("enter")
        assert "torch_dtype" not in screen_text(app)
        await pilot.press("escape")
        assert "torch_dtype" in screen_text(app)
        assert isinstance(app.screen, WarningsScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)


async def test_slash_finds_in_the_console(make_app: MakeApp) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("l", "slash", *"loss", "enter")
        assert isinstance(app.screen, ConsoleScreen)
        assert "/loss: 4 of 4" in screen_text(app)
        await pilot.press("n")
        assert "/loss: 1 of 4" in screen_text(app)
        await pilot.press("N")
        assert "/loss: 4 of 4" in screen_text(app)
        await pilot.press("escape")
        assert "/loss" not in screen_text(app)


async def test_console_keeps_its_place_while_lines_come(make_app: MakeApp) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("l")
        lines = app.screen.query_one(Lines)
        lines.show([f"line {n}" for n in range(200)], 0)
        await pilot.pause()
        assert "line 199" in screen_text(app)
        await pilot.press("g")
        await pilot.pause()
        lines.place(50)
        await pilot.pause()
        assert "line 50 " in screen_text(app)
        lines.show([f"line {n}" for n in range(20, 220)], 20)
        await pilot.pause()
        assert lines.scroll_offset.y == 30
        assert "line 50 " in screen_text(app)
        await pilot.press("G")
        await pilot.pause()
        assert "line 219" in screen_text(app)


async def test_runs_open_and_close(make_app: MakeApp, hands: FakeHands) -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("j", "G", "g", "enter")
        assert isinstance(app.screen, RunScreen)
        assert app.folder == FOLDER
        await until(pilot, lambda: app.view.now > 0)
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        assert app.folder is None
        await pilot.press("q")
        await pilot.pause()
    assert app.return_value is None
    assert hands.calls == []


async def test_a_command_is_launched(make_app: MakeApp, catalog: FakeCatalog) -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("n")
        assert isinstance(app.screen, LaunchScreen)
        app.screen.query_one("#command", Input).value = "python train.py"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert catalog.launched == [("python train.py", "/home/ada/docs")]
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)


async def test_a_demo_is_launched(make_app: MakeApp, catalog: FakeCatalog) -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        await pilot.press("tab", "tab", "j", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert catalog.launched == [("dpo",)]


async def test_a_launch_that_fails_says_why(
    make_app: MakeApp, catalog: FakeCatalog
) -> None:
    catalog.error = LaunchError("no such program: pyhton")
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("n", "enter")
        assert "Type a command first" in screen_text(app)
        app.screen.query_one("#command", Input).value = "pyhton train.py"
        await pilot.press("enter")
        await until(pilot, lambda: "no such program: pyhton" in screen_text(app))
        assert isinstance(app.screen, LaunchScreen)


async def test_the_fit_is_checked_before_anything_runs(
    make_app: MakeApp, catalog: FakeCatalog
) -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await settled(pilot)
        field = app.screen.query_one("#fit", Input)
        field.focus()
        field.value = "llama-3-8b --method lora"
        catalog.error = RefusedError("it has no torch")
        await pilot.press("enter")
        await until(pilot, lambda: "it has no torch" in screen_text(app))
        catalog.error = None
        await pilot.press("enter")
        await until(pilot, lambda: "peak 27.7 GiB" in screen_text(app))
        assert "llama-3-8b --method lora" in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, LaunchScreen)
        assert catalog.launched == []


async def test_every_key_of_a_run_is_in_the_help(make_app: MakeApp) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        shown = [b for b in RunScreen.KEYS if b.show]
        await pilot.press("question_mark")
        text = screen_text(app)
        assert all(binding.tooltip in text for binding in shown)
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)


async def test_the_palette_has_every_action(
    make_app: MakeApp, hands: FakeHands
) -> None:
    app = make_app(scenes.live())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        titles = [c.title for c in app.get_system_commands(app.screen)]
        for binding in RunScreen.KEYS:
            if binding.show:
                assert binding.description.capitalize() in titles
        await pilot.press("colon")
        await pilot.press(*"snapsh")
        await until(pilot, lambda: "Save where the run stands" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: hands.calls)
        assert hands.calls == [("snapshot", FOLDER)]
