"""What a run that goes on from a checkpoint found there."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner import resume
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.format import safe, wrapped
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import CALM, MUTED, WARN

MOST = 2


class ResumeLine(Panel):
    """One or two lines; hidden without a resumed run, and once all is well."""

    DEFAULT_CSS = """
    ResumeLine {
        height: auto;
        max-height: 2;
        border: none;
    }
    """
    AGES = True
    GROWS = True

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        if lead is None or lead.training is None:
            return None
        return lead.training.resumed, resume.shown(lead), lead.phase.name == "skip"

    def on_mount(self) -> None:
        self._update()

    def watch_view(self, view: RunView) -> None:
        self._update()

    def _update(self) -> None:
        lead = self.view.state.lead
        self.display = lead is not None and resume.shown(lead)
        self._show(self.view)

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead = view.state.lead
        card = resume.card(lead, view.now) if lead is not None else None
        if card is None:
            return []
        style = WARN if card.missing else CALM
        head = f"{'!' if card.missing else '↻'} {safe(card.headline)}"
        text = safe(" · ".join(card.parts))
        if len(head) + 2 + len(text) <= width:
            return [Content.assemble((head, f"bold {style}"), "  ", (text, MUTED))]
        rest = wrapped(text, width - 2)
        first = Content.styled(head, f"bold {style}")
        if len(rest) > 1:
            # What it found matters more than how the headline stands alone.
            room = width - len(head) - 2
            begin = wrapped(text, room)[0] if room > 20 else Content("")
            left = text[len(begin.plain) :].strip(" ·")
            first = Content.assemble(first, "  ", begin)
            rest = wrapped(left, width - 2)
        return [first, *(Content("  ") + line for line in rest)][:MOST]
