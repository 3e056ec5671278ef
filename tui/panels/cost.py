"""What watching costs the run, always in sight."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.text import duration
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, WARN


class CostLine(Panel):
    """The probes' own cost, what they dropped, how many are connected."""

    DEFAULT_CSS = """
    CostLine {
        height: 1;
        border: none;
    }
    """

    def face(self, view: RunView) -> Face:
        return Face("ended" if view.state.over else "live")

    def facts(self, view: RunView) -> object:
        return (
            tuple(
                (
                    p.pid,
                    p.armed,
                    p.left is None,
                    p.dropped,
                    p.step_cost_s,
                    p.probe_errors,
                )
                for p in view.state.processes.values()
            ),
            view.state.over,
            view.state.host.console_lost,
        )

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        armed = [p for p in view.state.processes.values() if p.armed]
        if not armed:
            text = "no probe has connected: only output, host and files are watched"
            return [Content.styled(text, MUTED)]
        lead = view.state.lead
        cost = lead.step_cost_s if lead else None
        per_step = "trainwatch's own cost is not measured yet"
        if cost is not None:
            per_step = f"trainwatch costs this run {duration(cost)} a step"
        dropped = sum(p.dropped for p in armed)
        connected = sum(p.left is None for p in armed)
        probes = "probe" if connected == 1 else "probes"
        ended = (
            f"{len(armed)} processes watched"
            if len(armed) != 1
            else "1 process watched"
        )
        tail = ended if view.state.over else f"{connected} {probes} connected"
        parts = [
            Content.styled(per_step, MUTED),
            Content.styled(f"{dropped:,} events dropped", WARN if dropped else MUTED),
            Content.styled(tail, MUTED),
        ]
        errors = sum(len(p.probe_errors) for p in armed)
        if errors:
            parts.append(Content.styled(f"{errors} probe errors", WARN))
        if view.state.host.console_lost:
            lost = f"{view.state.host.console_lost:,} console bytes lost"
            parts.append(Content.styled(lost, WARN))
        line = Content.styled(" · ", MUTED).join(parts)
        if line.cell_length > width and cost is not None:
            line = line[len("trainwatch ") :]
        return [line]
