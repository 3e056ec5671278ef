"""The headline: one state, two facts, an age."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.verdict import Verdict
from trainwatch.runner.view import NOTHING, RunView
from trainwatch.tui.faces import Face, old
from trainwatch.tui.format import ago, safe, spread, wrapped
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, UNKNOWN_MARK, VERDICT_MARKS, WARN

WORD_WIDTH = 12
"""Cells of the longest state, its glyph and a space."""
MOST = 3
"""Lines of the second fact, where it is long: an error, usually."""


class Headline(Panel):
    """What the run is doing, in two lines that can be read from afar, and what helps
    where it does not go on."""

    DEFAULT_CSS = """
    Headline {
        height: auto;
        min-height: 2;
        border: none;
        &.-stale { text-opacity: 100%; }
    }
    """
    AGES = True
    GROWS = True

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        return (
            view is NOTHING,
            view.verdict.state,
            view.verdict.kind,
            view.verdict.evidence_status,
            view.verdict.do,
            view.supervised,
            view.state.over and view.verdict.facts,
            view.state.lead and view.state.lead.phase.name,
        )

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        if view is NOTHING:
            return [Content.styled("reading the run …", MUTED)]
        verdict = view.verdict
        glyph, style = VERDICT_MARKS.get(verdict.state, UNKNOWN_MARK)
        word = f"{glyph} {verdict.state.upper()}".ljust(WORD_WIDTH)
        first, second = (safe(fact) for fact in verdict.facts)
        age = ago(verdict.age_s)
        right = Content("")
        if not view.supervised and not view.state.over:
            right = Content.styled(f"no supervisor · {old(view)}", WARN)
        elif verdict.evidence_status not in (None, "established"):
            right = Content.styled(f"evidence: {verdict.evidence_status}", MUTED)
        room = width - WORD_WIDTH
        notes = wrapped(second, room - right.cell_length - 1)[:MOST] or [Content("")]
        indent = Content(" " * WORD_WIDTH)
        return [
            spread(
                Content.assemble((word, f"bold {style}"), (first, "bold")),
                Content.styled(age, MUTED),
                width,
            ),
            spread(indent + notes[0], right, width),
            *(indent + note for note in notes[1:]),
            *(indent + note for note in wrapped(_help(verdict), room)[:1]),
        ]


def _help(verdict: Verdict) -> str:
    """What helps. A finding has it in its own panel."""
    return "" if verdict.state == "failing" else safe(verdict.do)
