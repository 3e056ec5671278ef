"""What is trained, and what that costs in bytes."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from trainwatch.runner.bill import RANK, Bill, Lora, bill, lora, times, verdict
from trainwatch.runner.state import Process
from trainwatch.runner.text import size
from trainwatch.runner.view import RunView
from trainwatch.tui.format import pair, safe, spread, wrapped
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import MUTED, STRONG, WARN


class TrainablePanel(Panel):
    """The number of parameters that are trained, their bill, and LoRA's beside it."""

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
        mine, other = bill(lead), lora(trainable)
        lines = [
            spread(
                Content(f"{trainable.parameters:,} of {trainable.total:,} parameters"),
                Content.styled(share, STRONG),
                width,
            ),
            bill_line(mine, width),
            lora_line(mine, other, width),
        ]
        if height > 3:
            said = verdict(trainable, mine, other)
            lines += wrapped(said, width, WARN) if said else []
            lines.append(who(lead, width))
        if height > 6:
            for heading, counts in (
                ("parameters by type", trainable.dtypes),
                ("parameters by device", trainable.devices),
            ):
                lines += [Content.styled(heading, MUTED), *census(counts, width)]
        return lines[:height]


def bill_line(mine: Bill, width: int) -> Content:
    """What training these parameters holds: weights + gradients + optimizer."""
    if mine.total is None:
        missing = ", ".join(mine.missing)
        return Content.styled(f"bill not complete: {missing} not measured", MUTED)
    parts = (mine.weights or 0, mine.gradients or 0, mine.optimizer or 0)
    scale = next((s for s in (10**9, 10**6, 10**3) if mine.total >= s), 1)
    values = [_in_units(part / scale) for part in parts]
    total = size(mine.total)
    total = f"= {total}" if mine.measured else f"{total} expected"
    right = Content.styled(total, STRONG)
    for names in (("weights", "gradients", "optimizer"), ("weights", "grads", "state")):
        text = " + ".join(map(" ".join, zip(names, values, strict=True)))
        if len(text) + right.cell_length < width:
            break
    return spread(Content.styled(text, MUTED), right, width)


def _in_units(value: float) -> str:
    """87.29 -> "87.3", 0.436 -> "0.44"."""
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def lora_line(mine: Bill, other: Lora | None, width: int) -> Content:
    """LoRA's bill for the same model."""
    if other is None:
        return Content.styled("LoRA's bill: the layers were not reported", MUTED)
    factor = times(mine, other)
    less = number_of(other.parameters)
    if factor is not None and factor >= 2:
        less = f"{factor:.2g} times less"
    return spread(
        Content.styled(f"LoRA r{RANK} on {safe(other.layers)}: {less}", MUTED),
        Content.styled(f"{size(other.bytes)} expected", MUTED),
        width,
    )


def number_of(count: int) -> str:
    """13_631_488 -> "13.6 M"."""
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return str(count)


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
