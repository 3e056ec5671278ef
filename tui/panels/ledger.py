"""The memory of every training process, entry by entry."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner import forecast
from trainwatch.runner.headroom import ahead
from trainwatch.runner.limits import limits_of, remarks
from trainwatch.runner.memory import rest_name, rest_of_peak
from trainwatch.runner.slope import trend
from trainwatch.runner.state import Forecast, Host, Ledger, Process
from trainwatch.runner.text import size
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face, face_of
from trainwatch.tui.format import ago, fit, pair, safe, wrapped
from trainwatch.tui.panels.memory import (
    BUDGET,
    PHYSICAL,
    TORCH,
    MemoryPanel,
    fullness,
    held,
    ledger_heading,
    marks,
    reserved_name,
    scale_of,
)
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import BAD, CALM, MUTED, STRONG, WARN
from trainwatch.tui.widgets.bar import bar

LABEL = 24
VALUE = 14
SHARE = 9
PRESSED = 10.0
"""Percent of the time that something waits for memory, from which it is marked."""
RESERVED = {
    "mapped": "address space",
    "driver": "reserved by the driver",
    "reserved": "reserved by torch",
}


class LedgerPanel(Panel):
    """One bar for each entry, all on the scale of the budget."""

    DEFAULT_CSS = """
    LedgerPanel { height: auto; }
    """
    TITLE = "Memory"
    PROMISE = MemoryPanel.PROMISE
    MISSED = MemoryPanel.MISSED
    PROBED = True
    AGES = True
    GROWS = True

    def has_data(self, view: RunView) -> bool:
        return any(
            p.memory.sampled is not None or p.ledger != Ledger() for p in shown(view)
        )

    def face(self, view: RunView) -> Face:
        return face_of(view, self.has_data(view))

    def facts(self, view: RunView) -> object:
        told = tuple(
            (p.memory, p.ledger, p.rank, p.forecasts, p.levels) for p in shown(view)
        )
        return told, view.state.host

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lines: list[Content] = []
        for process in shown(view):
            if lines:
                lines.append(Content(""))
            lines += process_lines(process, view, width)
        return [*lines, Content(""), *host_lines(view, width)]


def shown(view: RunView) -> tuple[Process, ...]:
    """The ranks, or the one process to show before there are ranks."""
    lead = view.state.lead
    return view.state.ranks or ((lead,) if lead else ())


def process_lines(process: Process, view: RunView, width: int) -> list[Content]:
    """What one process holds and what holds it."""
    memory, ledger, host = process.memory, process.ledger, view.state.host
    limits = limits_of(memory, host)
    budget = limits.budget
    label, now = held(memory)
    scale = scale_of(limits, [now, memory.reserved, memory.peak])
    who = (
        f"rank {process.rank}" if process.rank is not None else f"process {process.pid}"
    )
    peak = f"peak, in {safe(memory.peak_phase)}" if memory.peak_phase else "peak"

    def entry(name: str, value: int | None, style: str = CALM) -> Content:
        share = ""
        if value is not None and budget is not None:
            share = f"{100 * value / budget[0]:.1f} %"
        room = width - LABEL - VALUE - SHARE - 2
        return Content.assemble(
            fit(Content.styled(name, MUTED), LABEL),
            f"{size(value):>{VALUE}}  ",
            bar(value, 1.02 * scale, room, style, marks=marks(limits)),
            (f"{share:>{SHARE}}", MUTED),
        )

    def limit(mark: str, name: str, value: int | None, note: str = "") -> Content:
        return Content.assemble(
            fit(Content.styled(f"{mark} {name}", MUTED), LABEL),
            f"{size(value):>{VALUE}}",
            (f"  {safe(note)}" if note else "", MUTED),
        )

    drawn = {budget[0] if budget else None, limits.torch, limits.physical}
    others = [
        limit(" ", safe(name), value)
        for name, value in sorted(memory.lines.items(), key=lambda line: line[1])
        if value not in drawn
    ]

    return [
        Content.assemble((who, STRONG), (f" · {safe(memory.device)}", MUTED)),
        entry(label, now, fullness(now, budget)),
        entry(
            RESERVED[reserved_name(memory)],
            memory.reserved,
            fullness(memory.reserved, budget),
        ),
        entry(peak, memory.peak, fullness(memory.peak, budget)),
        limit(
            BUDGET,
            "budget",
            budget[0] if budget else None,
            budget[1] if budget else "",
        ),
        limit(PHYSICAL, "physical", limits.physical),
        limit(TORCH, "torch's limit", limits.torch),
        *others,
        *(line for text in remarks(memory, host) for line in wrapped(text, width)),
        *forecast_lines(process, view, width),
        ledger_heading(ledger),
        entry("weights, frozen", ledger.weights_frozen),
        entry("weights, trained", ledger.weights_trainable),
        entry("gradients", ledger.gradients),
        entry("exp_avg", ledger.exp_avg),
        entry("exp_avg_sq", ledger.exp_avg_sq),
        entry("other optimizer state", ledger.optimizer_other),
        entry("the rest of the peak", rest_of_peak(memory, ledger)),
        *wrapped(f"the rest: {rest_name(memory)}, not measured one by one", width),
    ]


def forecast_lines(process: Process, view: RunView, width: int) -> list[Content]:
    """Every forecast with what came of it, and whether the level rises."""
    lines = [Content.styled("forecasts", MUTED)]
    for told in process.forecasts:
        lines += one_forecast(told, width)
    if not process.forecasts:
        lines += wrapped("none was made", width)
    rising = trend(process, view.state.host)
    text = "no forecast of a limit: memory does not rise steadily"
    if rising is not None:
        text = f"heuristic: {ahead(rising)}"
    return [*lines, *wrapped(safe(text), width, WARN if rising else MUTED)]


def one_forecast(told: Forecast, width: int) -> list[Content]:
    verdict = forecast.fits(told)
    style = {"no": BAD, "tight": WARN}.get(verdict, "") if told.met is None else ""
    word = {"yes": "fits", "no": "does not fit", "tight": "fits, with little room"}
    head = f"{word.get(verdict, verdict)}: {forecast.sentence(told)}"
    rest = [told.method, forecast.advice(told), forecast.outcome(told)]
    return [
        *wrapped(safe(head), width, style),
        *wrapped(safe("; ".join(part for part in rest if part)), width),
    ]


def host_lines(view: RunView, width: int) -> list[Content]:
    """The machine."""
    host = view.state.host
    used = None
    if host.ram_total is not None and host.ram_available is not None:
        used = host.ram_total - host.ram_available
    swap = host.swap_in_per_s
    each = min(width, LABEL + VALUE)
    return [
        Content.styled("this machine", STRONG),
        pair("RAM", size(host.ram_total), each),
        pair("RAM in use", size(used), each),
        pair("this run's processes", size(host.tree_rss), each),
        pair("swap in use", size(host.swap_used), each),
        pair("swap in", size(swap) if swap is None else f"{size(swap)}/s", each),
        *readings_lines(host, each),
        pair("free on the disk", size(host.disk_free), each),
        *([pair("read", ago(view.now - host.sampled), each)] if host.sampled else []),
        *(
            line
            for what, why in host.unread.items()
            for line in wrapped(safe(f"{what}: not read here, {why}"), width)
        ),
    ]


def card_value(name: str, value: int) -> str:
    """ "0 busy", 97 -> "97 %" """
    if name.endswith(" busy"):
        return f"{value} %"
    return f"{value} W" if name.endswith(" watts") else size(value)


def readings_lines(host: Host, each: int) -> list[Content]:
    """What only some machines tell."""
    lines = []
    if host.pressure:
        some = host.pressure.get("some", 0.0)
        style = WARN if some >= PRESSED else ""
        lines.append(pair("waits for memory", f"{some:.0f} % of 10 s", each, style))
    if host.cgroup_limit is not None:
        lines.append(pair("group holds", size(host.cgroup_held), each))
        lines.append(pair("of the group's", size(host.cgroup_limit), each))
    if host.footprint is not None:
        lines.append(pair("footprint", size(host.footprint), each))
    for name, value in host.cards.items():
        lines.append(pair(f"card {name}", card_value(name, value), each))
    return lines
