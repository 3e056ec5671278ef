"""One line of input at the bottom of a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label


class Prompt(Horizontal):
    """A label and an input, hidden until somebody is asked."""

    DEFAULT_CSS = """
    Prompt {
        height: 1;
        background: $panel;
        padding: 0 1;
        display: none;
        &.-open { display: block; }
        Label { color: $accent; text-style: bold; }
        Input { width: 1fr; padding: 0 1; background: $panel; }
        Input:focus { background-tint: $foreground 0%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False)
    ]

    @dataclass
    class Changed(Message):
        """The text is `value` so far."""

        purpose: str
        value: str

    @dataclass
    class Submitted(Message):
        """Enter was pressed on `value`."""

        purpose: str
        value: str

    @dataclass
    class Closed(Message):
        """The prompt was left with escape."""

        purpose: str

    def __init__(self) -> None:
        super().__init__()
        self.purpose = ""

    def compose(self) -> ComposeResult:
        yield Label(markup=False)
        yield Input(compact=True)

    @property
    def open(self) -> bool:
        return self.has_class("-open")

    def ask(self, purpose: str, label: str, hint: str = "", value: str = "") -> None:
        """Open for `purpose`, with the cursor in the input."""
        self.purpose = purpose
        self.query_one(Label).update(label)
        field = self.query_one(Input)
        field.placeholder = hint
        with self.prevent(Input.Changed):
            field.value = value
        self.add_class("-open")
        field.focus()

    def close(self) -> None:
        self.remove_class("-open")
        if self.query_one(Input).has_focus:
            self.screen.set_focus(None)

    def action_close(self) -> None:
        self.close()
        self.post_message(self.Closed(self.purpose))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.purpose, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.purpose, event.value))
        with self.prevent(Input.Changed):
            event.input.value = ""
