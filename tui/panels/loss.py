"""Loss, small: a training signal, not quality."""

from __future__ import annotations

import math

from textual.content import Content

from trainwatch.runner.state import RunState
from trainwatch.runner.view import RunView
from trainwatch.tui.format import number, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import BAD, CALM, MUTED, STRONG
from trainwatch.tui.widgets.chart import chart

AXIS = 7


class LossPanel(Panel):
    """The logged loss, the gradient norm and the learning rate."""

    TITLE = "Loss: a training signal, not quality"
    PROMISE = "Drawn from the first logged loss on."
    MISSED = "This run logged no loss."
    PROBED = True

    def has_data(self, view: RunView) -> bool:
        return bool(view.state.series.get("loss"))

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return view.state.series.get("loss"), lead and lead.metrics

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        points = view.state.series.get("loss", ())
        values = [value for _, value in points]
        rows = height - 1
        lines = [values_line(view.state, width)]
        if rows < 1:
            return lines
        finite = [v for v in values if math.isfinite(v)]
        drawn = chart(values, width - AXIS, rows)
        for row, text in enumerate(drawn):
            edge = ""
            if finite and row == 0:
                edge = number(max(finite))
            elif finite and row == rows - 1 and min(finite) < max(finite):
                edge = number(min(finite))
            lines.append(
                Content.assemble((f"{edge:>{AXIS - 1}} ", MUTED), (text, CALM))
            )
        return lines


def values_line(state: RunState, width: int) -> Content:
    """The newest values, those that are not numbers in the colour of an error."""
    metrics = state.lead.metrics if state.lead else {}
    points = state.series.get("loss", ())
    parts: list[Content] = []
    for label, value in (
        ("loss", metrics.get("loss", points[-1][1] if points else None)),
        ("grad norm", metrics.get("grad_norm")),
        ("lr", metrics.get("learning_rate")),
    ):
        bad = value is not None and not math.isfinite(value)
        parts.append(
            Content.assemble(
                (f"{label} ", MUTED), (number(value), BAD if bad else STRONG)
            )
        )
    line = Content("   ").join(parts)
    if not points:
        return line
    return spread(line, Content.styled(f"step {points[-1][0]:,}", MUTED), width)
