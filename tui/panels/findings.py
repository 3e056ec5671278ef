"""What the rules found in this run."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.state import SEVERITIES, Finding, RunState
from trainwatch.runner.verdict import reason
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.format import safe, spread, whole
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, SEVERITY_MARKS, UNKNOWN_MARK

SHOWN = 2


def standing(state: RunState) -> list[Finding]:
    """
    Findings that have not been cleared, serious and new ones first; without the one
    that the headline gives as the reason of the end.
    """
    rank = {severity: place for place, severity in enumerate(SEVERITIES)}
    told = reason(state)
    found = [f for f in state.findings.values() if f.cleared is None and f is not told]
    return sorted(found, key=lambda f: (rank.get(f.severity, len(rank)), -f.since))


class FindingsPanel(Panel):
    """One finding in two lines: what, and what to do. Hidden while there is none."""

    DEFAULT_CSS = """
    FindingsPanel {
        height: auto;
        max-height: 7;
    }
    """
    TITLE = "Findings"
    AGES = True
    GROWS = True

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        return standing(view.state)

    def watch_view(self, view: RunView) -> None:
        self.display = bool(standing(view.state))
        super().watch_view(view)

    def on_mount(self) -> None:
        self.display = bool(standing(self.view.state))
        super().on_mount()

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lines: list[Content] = []
        found = standing(view.state)
        for finding in found[:SHOWN]:
            glyph, style = SEVERITY_MARKS.get(finding.severity, UNKNOWN_MARK)
            since = whole(max(0.0, view.now - finding.since))
            lines.append(
                spread(
                    Content.assemble(
                        (f"{glyph} {finding.severity}  ", f"bold {style}"),
                        safe(finding.summary),
                    ),
                    Content.styled(f"for {since}", MUTED),
                    width,
                )
            )
            indent = " " * (len(finding.severity) + 4)
            if finding.do:
                lines.append(
                    Content.assemble(indent, ("do: ", MUTED), safe(finding.do))
                )
            elif finding.evidence:
                lines.append(
                    Content.styled(indent + safe(" · ".join(finding.evidence)), MUTED)
                )
        if len(found) > SHOWN:
            lines.append(Content.styled(f"and {len(found) - SHOWN} more", MUTED))
        return lines
