"""What a program writes is shown as text, and never obeyed."""

from __future__ import annotations

import pytest

from support import scenes
from support.pilots import MakeApp, screen_text, settled
from trainwatch.tui.format import safe

FORBIDDEN = ("\x1b", "\x07", "\x9b", "\u202e", "\u200b", "52;c", "0;title")


@pytest.mark.parametrize("key", ["", "l", "w"])
async def test_markup_is_literal_and_control_sequences_are_gone(
    make_app: MakeApp, key: str
) -> None:
    app = make_app(scenes.hostile())
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        if key:
            await pilot.press(key)
        text = screen_text(app)
        svg = app.export_screenshot()
        if key != "w":
            assert "[bold red]literal markup[/bold red] [/] [@click=app.quit]x" in text
        if key != "l":
            assert "[bold red]not markup[/]" in text
        for forbidden in (
            "\x1b",
            "\x07",
            "\x9b",
            "\u202e",
            "\u200b",
            "52;c",
            "0;title",
        ):
            assert forbidden not in text
            assert forbidden not in svg


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\tb", "a       b"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("bar 50%|\u2588\u258c|", "bar 50%|\u2588\u258c|"),
        ("abc\u202edef\u2066g\u200b", "abcdefg"),
        ("日本語", "日本語"),
        ("null\x00byte\x9b", "nullbyte"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    assert safe(text) == shown
