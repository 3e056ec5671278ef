"""What watching costs the run, always in sight."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from trainwatch.runner.state import Process
from trainwatch.runner.text import duration
from trainwatch.runner.unseen import log_only, unseen, watched_outside
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face
from trainwatch.tui.format import safe
from trainwatch.tui.panels.pace import usual_step_s
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, WARN

SEPARATOR = Content.styled(" · ", MUTED)


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
                    p.lost,
                    p.step_cost_s,
                    p.probe_errors,
                    tuple(unseen(p, view.state.over)),
                )
                for p in view.state.processes.values()
            ),
            view.state.over,
            log_only(view.state),
            view.state.host.console_lost,
        )

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        armed = [p for p in view.state.processes.values() if p.armed]
        if not armed:
            text = "no probe has connected: only output, host and files are watched"
            why = log_only(view.state)
            if why is not None:
                text = f"log-only mode: {why}; {watched_outside(view.state)}"
            return [Content.styled(safe(text), MUTED)]
        rest = counters(view, armed)
        for words in own_cost(view):
            line = SEPARATOR.join([Content.styled(words, MUTED), *rest])
            if line.cell_length <= width:
                break
        return [line]


def own_cost(view: RunView) -> list[str]:
    """What our hooks add to a step, the longest wording first."""
    lead = view.state.lead
    cost = lead.step_cost_s if lead else None
    if lead is None or cost is None:
        absent = "not measured" if view.state.over else "not measured yet"
        return [f"trainwatch's own cost is {absent}", f"cost {absent}"]
    short = f"costs this run {duration(cost)} a step"
    step = usual_step_s(lead)
    if not step:
        return [f"trainwatch {short}", short]
    share = 100 * cost / step
    percent = f"{share:.2g} %" if share >= 0.01 else "under 0.01 %"
    return [f"trainwatch {short} ({percent})", f"trainwatch {short}", short]


def counters(view: RunView, armed: Sequence[Process]) -> list[Content]:
    """What was dropped or failed, and how many processes say something."""
    dropped = sum(p.dropped for p in armed)
    lost = sum(p.lost for p in armed)
    parts = [
        Content.styled(f"{dropped:,} events dropped", WARN if dropped else MUTED),
        Content.styled(watched(view, armed), MUTED),
    ]
    if lost:
        parts.append(Content.styled(f"{lost:,} events lost", WARN))
    errors = sum(len(p.probe_errors) for p in armed)
    if errors:
        parts.append(Content.styled(f"{errors} probe errors", WARN))
    lead = view.state.lead
    hidden = unseen(lead, view.state.over) if lead else {}
    if hidden:
        parts.append(Content.styled(f"not seen: {safe(', '.join(hidden))}", WARN))
    if view.state.host.console_lost:
        gone = f"{view.state.host.console_lost:,} console bytes lost"
        parts.append(Content.styled(gone, WARN))
    return parts


def watched(view: RunView, armed: Sequence[Process]) -> str:
    """The processes with a probe; after the end, how many there were."""
    if view.state.over:
        return f"{len(armed)} {'process' if len(armed) == 1 else 'processes'} watched"
    connected = sum(p.left is None for p in armed)
    return f"{connected} {'probe' if connected == 1 else 'probes'} connected"
