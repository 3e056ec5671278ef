"""What is trained, and what that costs in bytes."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from trainwatch.runner.state import Ledger, Process
from trainwatch.runner.text import size
from trainwatch.runner.view import RunView
from trainwatch.tui.format import pair, safe, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, STRONG


class TrainablePanel(Panel):
    """The number of parameters that are trained, and their bill."""

    TITLE = "Trainable"
    PROMISE = "Counted when the training begins: parameters that are trained, of all."
    MISSED = "The parameters of this run were not counted."
    PROBED = True
    MOVES = False

    def has_data(self, view: RunView) -> bool:
        return view.state.lead is not None and view.state.lead.trainable is not None

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return lead and (lead.trainable, lead.ledger, lead.training)

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead = view.state.lead
        if lead is None or lead.trainable is None:
            return []
        trainable = lead.trainable
        percent = trainable.percent
        share = "of an unknown number" if percent is None else f"{percent:.3g} %"
        lines = [
            spread(
                Content(f"{trainable.parameters:,} of {trainable.total:,} parameters"),
                Content.styled(share, STRONG),
                width,
            ),
            bill(lead.ledger, width),
            who(lead, width),
        ]
        if height > 5:
            for heading, counts in (
                ("parameters by type", trainable.dtypes),
                ("parameters by device", trainable.devices),
            ):
                lines += [Content.styled(heading, MUTED), *census(counts, width)]
        return lines


def bill(ledger: Ledger, width: int) -> Content:
    """What training these parameters holds: weights + gradients + optimizer."""
    state = [ledger.exp_avg, ledger.exp_avg_sq, ledger.optimizer_other]
    known = [part for part in state if part is not None]
    parts = (
        ("weights", ledger.weights_trainable),
        ("gradients", ledger.gradients),
        ("optimizer", sum(known) if known else None),
    )
    if any(value is None for _, value in parts):
        missing = ", ".join(name for name, value in parts if value is None)
        return Content.styled(f"bill not complete: {missing} not measured", MUTED)
    total = sum(value for _, value in parts if value is not None)
    scale = next((s for s in (10**9, 10**6, 10**3) if total >= s), 1)
    text = " + ".join(f"{name} {(value or 0) / scale:.3g}" for name, value in parts)
    return spread(
        Content.styled(text, MUTED), Content.styled(f"= {size(total)}", STRONG), width
    )


def census(counts: Mapping[str, int], width: int) -> list[Content]:
    """How many parameters there are of each kind, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [
        pair(f"  {safe(name.removeprefix('torch.'))}", f"{count:,}", width)
        for name, count in ordered
    ]


def who(lead: Process, width: int) -> Content:
    """The model, its trained types, the optimizer."""
    assert lead.trainable is not None
    model = safe(lead.trainable.model) or "a model"
    kinds = ", ".join(
        safe(name.removeprefix("torch."))
        for name, _ in sorted(lead.trainable.dtypes.items(), key=lambda d: -d[1])
    )
    optimizer = ""
    if lead.training and lead.training.optimizer:
        optimizer = safe(lead.training.optimizer)
        if lead.training.implementation:
            optimizer += f" ({safe(lead.training.implementation)})"
    return spread(
        Content.styled(" · ".join(filter(None, (model, kinds))), MUTED),
        Content.styled(optimizer, MUTED),
        width,
    )
