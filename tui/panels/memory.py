"""Memory: what is held, against what there is, and what holds it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from trainwatch.runner.memory import rest_name, rest_of_peak
from trainwatch.runner.state import Host, Ledger, Memory, Process
from trainwatch.runner.text import size
from trainwatch.runner.view import RunView
from trainwatch.tui.format import column_width, fit, grid, pair, safe, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import BAD, CALM, MUTED, WARN
from trainwatch.tui.widgets.bar import bar

LABEL = 10
TIGHT, FULL = 0.85, 0.95
"""Shares of the budget from which a bar takes the colour of a warning."""
OWN_MEMORY = ("cuda", "xpu", "hip")
"""Devices whose memory is apart from the host's."""


@dataclass(frozen=True)
class Limits:
    """What may be held, each None where it is not known."""

    host: int | None = None
    torch: int | None = None
    physical: int | None = None

    @property
    def budget(self) -> tuple[int, str] | None:
        """The smallest limit and its name."""
        known = [
            (value, name)
            for value, name in (
                (self.host, "host limit"),
                (self.torch, "torch's limit"),
                (self.physical, "physical"),
            )
            if value is not None
        ]
        return min(known, default=None)


def limits_of(memory: Memory, host: Host) -> Limits:
    if memory.device.startswith(OWN_MEMORY):
        return Limits(None, memory.torch_limit, memory.physical)
    return Limits(host.ram_limit or host.ram_total, memory.torch_limit, memory.physical)


def held(memory: Memory) -> tuple[str, int | None]:
    """What the process holds, by its allocator or, on a CPU, in RAM."""
    if memory.allocated is not None:
        return "allocated", memory.allocated
    return "in RAM", memory.rss


class MemoryPanel(Panel):
    """Bars against the budget, the ledger, and the host."""

    TITLE = "Memory"
    PROMISE = (
        "Measured from the first tensors on: what is allocated, the limit that "
        "counts, and what weights, gradients and optimizer hold of it."
    )
    MISSED = "No memory was measured in this run."
    AGES = True

    def has_data(self, view: RunView) -> bool:
        lead = view.state.lead
        return lead is not None and (
            lead.memory.sampled is not None or lead.ledger != Ledger()
        )

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return lead and (lead.memory, lead.ledger), view.state.host

    def title(self, view: RunView) -> Content:
        title = super().title(view)
        if view.state.lead and self.has_data(view):
            title += Content.styled(f" · {safe(view.state.lead.memory.device)}", MUTED)
        return title

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead, host = view.state.lead, view.state.host
        if lead is None:
            return []
        if height < 8:
            return short(lead, host, width)[:height]
        return [
            *bars(lead.memory, host, width),
            limits_line(lead.memory, host, width),
            ledger_heading(lead.ledger),
            *ledger_lines(lead, width),
            host_line(host, width),
        ]


def bars(memory: Memory, host: Host, width: int) -> list[Content]:
    """Held, reserved and peak, on the scale of the largest of them or the budget."""
    limits = limits_of(memory, host)
    budget = limits.budget
    label, now = held(memory)
    reserved = "driver" if memory.device.startswith("mps") else "reserved"
    rows: list[tuple[str, int | None]] = [(label, now)]
    if memory.reserved is not None:
        rows.append((reserved, memory.reserved))
    rows.append(("peak", memory.peak))
    top = max(
        [v for _, v in rows if v is not None] + ([budget[0]] if budget else []),
        default=0,
    )
    peak_in = f"  in {safe(memory.peak_phase)}" if memory.peak_phase else ""
    room = width - LABEL - 9 - 2 - len(peak_in)
    lines = []
    for name, value in rows:
        line = Content.assemble(
            fit(Content.styled(name, MUTED), LABEL),
            f"{size(value):>9}  ",
            bar(
                value,
                1.02 * top,
                room,
                fullness(value, budget),
                mark=budget[0] if budget else None,
            ),
        )
        if name == "peak":
            line += Content.styled(peak_in, MUTED)
        lines.append(line)
    return lines


def fullness(value: int | None, budget: tuple[int, str] | None) -> str:
    """The colour of a bar by its share of the budget."""
    if value is None or budget is None or not budget[0]:
        return CALM
    share = value / budget[0]
    return BAD if share >= FULL else WARN if share >= TIGHT else CALM


def limits_line(memory: Memory, host: Host, width: int) -> Content:
    """The budget, where it comes from, and what the peak left of it."""
    limits = limits_of(memory, host)
    if limits.budget is None:
        return pair("budget", "no limit is known", width, MUTED)
    budget, source = limits.budget
    text = Content.assemble(
        fit(Content.styled("budget", MUTED), LABEL),
        f"{size(budget):>9}",
        (f"  {source}", MUTED),
    )
    left = Content("")
    top = max(
        (v for v in (memory.peak, memory.reserved) if v is not None), default=None
    )
    if top is not None:
        left = Content.styled(
            f"peak leaves {size(budget - top)}"
            if budget >= top
            else f"peak is {size(top - budget)} over",
            fullness(top, limits.budget)
            if fullness(top, limits.budget) != CALM
            else "",
        )
    return spread(text, left, width)


def ledger_heading(ledger: Ledger) -> Content:
    if ledger.measured is None or ledger.step is None:
        return Content.styled("what holds it, not measured yet", MUTED)
    return Content.styled(f"what holds it, measured at step {ledger.step:,}", MUTED)


def ledger_lines(lead: Process, width: int) -> list[Content]:
    """The ledger in two columns, and what it leaves of the peak."""
    ledger = lead.ledger
    each = column_width(width, 2)
    cells = [
        pair(name, size(value), each, "" if value is not None else MUTED)
        for name, value in (
            ("weights frozen", ledger.weights_frozen),
            ("weights trained", ledger.weights_trainable),
            ("gradients", ledger.gradients),
            ("exp_avg", ledger.exp_avg),
            ("exp_avg_sq", ledger.exp_avg_sq),
            ("other state", ledger.optimizer_other),
        )
    ]
    rest = rest_of_peak(lead.memory, ledger)
    return [
        *grid(cells, 2, width),
        pair(
            f"{rest_name(lead.memory)} (peak less these)",
            size(rest),
            width,
            "" if rest is not None else MUTED,
        ),
    ]


def host_line(host: Host, width: int) -> Content:
    """RAM of the machine and what comes back from the swap."""
    swap = host.swap_in_per_s
    swapping = swap is not None and swap > 1e6
    if host.ram_total is None or host.ram_available is None:
        ram = "RAM not measured"
    else:
        used = host.ram_total - host.ram_available
        ram = f"RAM {size(used)} of {size(host.ram_total)}"
    text = "swap in not measured" if swap is None else f"swap in {size(swap)}/s"
    return spread(
        Content.styled(ram, MUTED),
        Content.styled(text, WARN if swapping else MUTED),
        width,
    )


def short(lead: Process, host: Host, width: int) -> list[Content]:
    """Three lines for a small screen."""
    ledger = lead.ledger
    optimizer = [ledger.exp_avg, ledger.exp_avg_sq, ledger.optimizer_other]
    known = [part for part in optimizer if part is not None]
    weights = [
        w for w in (ledger.weights_frozen, ledger.weights_trainable) if w is not None
    ]
    parts = (
        ("weights", size(sum(weights)) if weights else size(None)),
        ("gradients", size(ledger.gradients)),
        ("optimizer", size(sum(known)) if known else size(None)),
    )
    each = column_width(width, 3)
    rows = bars(lead.memory, host, width)
    return [
        rows[0],
        limits_line(lead.memory, host, width),
        *grid([pair(name, value, each) for name, value in parts], 3, width),
    ]
