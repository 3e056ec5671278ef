"""A list with a cursor and vi keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from trainwatch.tui.bindings import LIST_KEYS


class Rows(OptionList):
    """Rows that keep their cursor when they change. A row without id is a heading."""

    DEFAULT_CSS = """
    Rows {
        border: none;
        padding: 0;
        background: $background;
        max-height: 100%;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: $foreground 0%; }
        & > .option-list--option-disabled { color: $foreground; }
        &:nocolor > .option-list--option-highlighted { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*LIST_KEYS]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)

    def show(self, rows: Sequence[tuple[str | None, Content]]) -> None:
        """Show `rows`: (id, what stands there)."""
        before = [option.id for option in self.options]
        if before == [id_ for id_, _ in rows]:
            for index, (_, content) in enumerate(rows):
                if self.options[index].prompt != content:
                    self.replace_option_prompt_at_index(index, content)
            return
        chosen = self.chosen
        self.set_options(
            Option(content, id=id_, disabled=id_ is None) for id_, content in rows
        )
        ids = [id_ for id_, _ in rows]
        if chosen is not None and chosen in ids:
            self.highlighted = ids.index(chosen)
        else:
            self.highlighted = next(
                (place for place, id_ in enumerate(ids) if id_ is not None), None
            )

    @property
    def chosen(self) -> str | None:
        """The id of the row under the cursor."""
        option = self.highlighted_option
        return option.id if option is not None else None
