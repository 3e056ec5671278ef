"""Many lines of text to scroll in, with a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from trainwatch.tui.format import safe

MATCH = Style(reverse=True)
HERE = Style(reverse=True, bold=True, underline=True)


class Lines(ScrollView, can_focus=True):
    """
    Lines of which only those in sight are drawn.

    While it follows, it stays at the end as lines come; scrolling up stops that.
    """

    DEFAULT_CSS = """
    Lines {
        height: 1fr;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "top", "Top", show=False),
        Binding("G", "bottom", "Bottom", show=False),
        Binding("home", "top", "Top", show=False),
        Binding("end", "bottom", "Bottom", show=False),
        Binding("space,ctrl+f", "page_down", "Page down", show=False),
        Binding("b,ctrl+b", "page_up", "Page up", show=False),
        Binding("h", "scroll_left", "Left", show=False),
    ]

    def __init__(self, *, follow: bool = False) -> None:
        super().__init__()
        self.follow = follow
        self.text: tuple[str, ...] = ()
        self.first = 0
        """Number of the first line held."""
        self.needle = ""
        self.found: list[int] = []
        """Lines that match, as places in `text`."""
        self.here: int | None = None
        """The match of the moment, as a place in `found`."""

    def show(self, text: Sequence[str], first: int = 0) -> None:
        """Show `text`, whose first line has the number `first`."""
        moved = first - self.first
        self.text, self.first = tuple(text), first
        width = max(map(len, self.text), default=0)
        self.virtual_size = Size(width, len(self.text))
        if self.needle:
            self._find()
        if self.follow:
            self.place(self.max_scroll_y)
        elif moved:
            self.place(self.scroll_y - moved)
        self.refresh()

    # --- moving ---

    def place(self, y: float) -> None:
        """Put line `y` at the top, as far as there are lines below it."""
        self.scroll_target_y = self.scroll_y = round(y)
        self.refresh()

    def action_top(self) -> None:
        self.follow = False
        self.place(0)

    def action_bottom(self) -> None:
        self.follow = True
        self.place(self.max_scroll_y)

    def action_scroll_down(self) -> None:
        self.scroll_down(animate=False)

    def action_scroll_up(self) -> None:
        self.follow = False
        self.scroll_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        self.follow = False
        self.scroll_page_up(animate=False)

    # --- searching ---

    def search(self, needle: str) -> None:
        """Mark what contains `needle` and go to the last such line; "" ends it."""
        self.needle = needle
        self._find()
        self.here = len(self.found) - 1 if self.found else None
        self._go()

    def step(self, by: int) -> None:
        """Go `by` matches on, around the ends."""
        if self.found:
            here = self.here if self.here is not None else 0
            self.here = (here + by) % len(self.found)
            self._go()

    def _find(self) -> None:
        needle = self.needle.casefold()
        before = self.here
        self.found = (
            [y for y, line in enumerate(self.text) if needle in line.casefold()]
            if needle
            else []
        )
        if before is not None:
            self.here = min(before, len(self.found) - 1) if self.found else None

    def _go(self) -> None:
        if self.here is not None:
            self.follow = False
            y = self.found[self.here] - self.size.height // 2
            self.place(y)
        self.refresh()

    # --- drawing ---

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        row = top + y
        width = self.size.width
        style = self.rich_style
        if row >= len(self.text):
            return Strip.blank(width, style)
        line = safe(self.text[row])
        strip = Strip(self._segments(line, row, style))
        return strip.crop_extend(left, left + width, style)

    def _segments(self, line: str, row: int, style: Style) -> list[Segment]:
        needle = self.needle.casefold()
        folded = line.casefold()
        if not needle or needle not in folded or len(folded) != len(line):
            return [Segment(line, style)]
        here = self.here is not None and self.found[self.here] == row
        mark = style + (HERE if here else MATCH)
        segments, start = [], 0
        while (at := folded.find(needle, start)) >= 0:
            segments.append(Segment(line[start:at], style))
            segments.append(Segment(line[at : at + len(needle)], mark))
            start = at + len(needle)
        return [s for s in (*segments, Segment(line[start:], style)) if s.text]
