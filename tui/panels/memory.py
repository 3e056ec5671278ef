"""Memory: what is held, against what there is, and what holds it."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner import forecast
from trainwatch.runner.headroom import ahead, meets_in_time
from trainwatch.runner.limits import OWN_MEMORY, Limits, limits_of
from trainwatch.runner.memory import rest_name, rest_of_peak
from trainwatch.runner.slope import trend
from trainwatch.runner.state import Host, Ledger, Memory, Process
from trainwatch.runner.text import size
from trainwatch.runner.unseen import log_only
from trainwatch.runner.view import RunView
from trainwatch.tui.format import column_width, fit, grid, pair, safe, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import BAD, CALM, MUTED, WARN
from trainwatch.tui.widgets.bar import Marks, bar

LABEL = 10
TIGHT, FULL = 0.85, 0.95
"""Shares of the budget from which a bar takes the colour of a warning."""
BUDGET, TORCH, PHYSICAL = "┃", "╂", "║"
"""The marks of the three lines."""


def held(memory: Memory) -> tuple[str, int | None]:
    """What the process holds, by its allocator or, on a CPU, in RAM."""
    if memory.allocated is not None:
        return "allocated", memory.allocated
    return "in RAM", memory.rss


def reserved_name(memory: Memory) -> str:
    if memory.allocated is None:
        return "mapped"
    return "driver" if memory.device.startswith("mps") else "reserved"


def marks(limits: Limits) -> Marks:
    """The lines that are known, the budget last so that nothing hides it."""
    found = []
    if limits.torch is not None:
        found.append((float(limits.torch), TORCH, WARN))
    if limits.physical is not None:
        found.append((float(limits.physical), PHYSICAL, BAD))
    if limits.budget is not None:
        found.append((float(limits.budget[0]), BUDGET, "bold"))
    return found


def scale_of(limits: Limits, values: list[int | None]) -> int:
    """The largest of what is drawn, so that every line stands on it."""
    lines = [int(value) for value, _, _ in marks(limits)]
    return max([v for v in values if v is not None] + lines, default=0) or 1


def measured(lead: Process | None) -> bool:
    """Its probes told something about its memory."""
    return lead is not None and (
        lead.memory.sampled is not None or lead.ledger != Ledger()
    )


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
        state = view.state
        if log_only(state) is not None and state.host.tree_rss is not None:
            return True
        return measured(state.lead)

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        told = lead and (lead.memory, lead.ledger, lead.forecasts, lead.levels)
        return told, view.state.host

    def title(self, view: RunView) -> Content:
        title = super().title(view)
        if view.state.lead and measured(view.state.lead):
            title += Content.styled(f" · {safe(view.state.lead.memory.device)}", MUTED)
        return title

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead, host = view.state.lead, view.state.host
        if lead is None or not measured(lead):
            return outside(host, width)
        if height < 8:
            return short(lead, view, width)[:height]
        return [
            *bars(lead.memory, host, width),
            legend(lead.memory, host, width),
            remark(lead, view, width) or ledger_heading(lead.ledger),
            *ledger_lines(lead, width),
            host_line(host, width),
        ]


def bars(memory: Memory, host: Host, width: int) -> list[Content]:
    """Held, reserved and peak, with the lines that limit them."""
    limits = limits_of(memory, host)
    label, now = held(memory)
    rows: list[tuple[str, int | None]] = [(label, now)]
    if memory.reserved is not None:
        rows.append((reserved_name(memory), memory.reserved))
    rows.append(("peak", memory.peak))
    top = scale_of(limits, [value for _, value in rows])
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
                fullness(value, limits.budget),
                marks=marks(limits),
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


def legend(memory: Memory, host: Host, width: int) -> Content:
    """The lines by their marks, and what the peak left of the budget."""
    limits = limits_of(memory, host)
    if limits.budget is None:
        return pair("budget", "no limit is known", width, MUTED)
    budget, by = limits.budget
    parts = [
        Content.assemble((BUDGET, "bold"), (" budget ", MUTED), size(budget)),
    ]
    if limits.physical is not None and limits.physical != budget:
        own = memory.device.startswith(OWN_MEMORY)
        name = f" {'card' if own else 'RAM'} "
        parts.append(
            Content.assemble((PHYSICAL, BAD), (name, MUTED), size(limits.physical))
        )
    if limits.torch is not None and limits.torch not in (budget, limits.physical):
        parts.append(
            Content.assemble((TORCH, WARN), (" torch ", MUTED), size(limits.torch))
        )
    if len(parts) == 1:
        parts[0] += Content.styled(f" ({by})", MUTED)
    text = Content("  ").join(parts)
    swaps = Content.styled(", it swaps first", MUTED)
    if limits.torch_above_physical and (text + swaps).cell_length <= width:
        text += swaps
    left = left_of(memory, limits)
    if left is None or text.cell_length + left.cell_length + 1 > width:
        return text
    return spread(text, left, width)


def left_of(memory: Memory, limits: Limits) -> Content | None:
    """What the peak leaves of the budget; None where one of them is not known."""
    known = [v for v in (memory.peak, memory.reserved) if v is not None]
    if limits.budget is None or not known:
        return None
    budget, top = limits.budget[0], max(known)
    if memory.allocated is None and limits.budget[1] != "RLIMIT_AS":
        top = memory.peak or top
    style = fullness(top, limits.budget)
    if budget >= top:
        text = f"peak leaves {size(budget - top)}"
    else:
        text = f"peak is {size(top - budget)} over"
    return Content.styled(text, style if style != CALM else "")


def remark(lead: Process, view: RunView, width: int) -> Content | None:
    """The one thing to say about this memory: what will not fit comes first."""
    alarm = alarm_of(lead, view)
    if alarm is not None:
        return alarm.truncate(width, ellipsis=True)
    limits = limits_of(lead.memory, view.state.host)
    if limits.torch_above_physical:
        text = Content.styled("torch stops above RAM: swaps first", MUTED)
        left = left_of(lead.memory, limits)
        return text if left is None else spread(text, left, width)
    return None


def alarm_of(lead: Process, view: RunView) -> Content | None:
    """A forecast that does not fit, or a limit that a rising level will meet."""
    told = forecast.shown(lead)
    if told is not None and told.met is None:
        verdict = forecast.fits(told)
        if verdict in ("no", "tight"):
            style = BAD if verdict == "no" else WARN
            return Content.styled(safe(forecast.sentence(told)), style)
    rising = trend(lead, view.state.host)
    if rising is not None and meets_in_time(rising, lead) and not view.state.over:
        return Content.styled(safe(ahead(rising)), BAD)
    return None


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


def outside(host: Host, width: int) -> list[Content]:
    """What can be seen of a run without probes."""
    held = f"{size(host.tree_rss)} of RAM held by its processes"
    return [
        Content(held),
        Content.styled("what of it, only a probe could tell", MUTED),
        host_line(host, width),
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


def short(lead: Process, view: RunView, width: int) -> list[Content]:
    """Three lines for a small screen."""
    ledger, host = lead.ledger, view.state.host
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
    alarm = alarm_of(lead, view)
    last = grid([pair(name, value, each) for name, value in parts], 3, width)
    return [
        rows[0],
        legend(lead.memory, host, width),
        *(last if alarm is None else [alarm]),
    ]
