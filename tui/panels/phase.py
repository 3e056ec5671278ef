"""Where the process is, how long that usually takes, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from trainwatch.runner.durations import percentile, usual
from trainwatch.runner.progress import left_s, so_far, speed
from trainwatch.runner.room import room_after
from trainwatch.runner.state import (
    DeviceTimes,
    PhaseNow,
    PhaseStat,
    Process,
    RunState,
    Usual,
)
from trainwatch.runner.text import duration, size
from trainwatch.runner.view import RunView
from trainwatch.tui.format import (
    ABSENT,
    column_width,
    fit,
    grid,
    pair,
    rate,
    safe,
    spread,
)
from trainwatch.tui.panels.pace import stepped_long_ago, tokens_per_s, usual_step_s
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.panels.parts import between_names, step_parts
from trainwatch.tui.theme import (
    CALM,
    MUTED,
    OWN_PHASE,
    PHASE_STYLES,
    STRONG,
    WARN,
)
from trainwatch.tui.widgets.bar import bar

SLOW_SHARE = 0.95
NOTHING: Mapping[str, Usual] = {}


class PhasePanel(Panel):
    """The running phase against its usual time; the last step, phase by phase."""

    TITLE = "Phase"
    PROMISE = (
        "No probe has connected yet. The running phase stands here as soon as the "
        "program's Python has started, with its age against the usual."
    )
    MISSED = "No probe connected in this run, so its phases are not known."
    PROBED = True
    AGES = True

    def has_data(self, view: RunView) -> bool:
        return view.state.lead is not None

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return lead and (
            lead.phase,
            lead.step,
            lead.steps,
            lead.phases,
            lead.left,
            lead.device,
            lead.trainable,
            view.state.usual,
            next_one(view.state),
        )

    def title(self, view: RunView) -> Content:
        note = clocks(view.state.lead)
        title = super().title(view)
        return title + Content.styled(f" · {note}", MUTED) if note else title

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead = view.state.lead
        if lead is None:
            return []
        over = view.state.over or lead.left is not None
        until = view.now if view.supervised and not over else lead.phase.seen
        short = height < 9
        lines = [
            running(lead, until, width, over, view.state.usual),
            stepping(lead, width, view.now, over, next_one(view.state)),
        ]
        if lead.steps.last_phases and short:
            lines += breakdown_short(lead, width)
        elif lead.steps.last_phases and lead.device is not None:
            lines.append(device_heading(lead, lead.device, width))
            lines += breakdown_twice(lead, lead.device, width)
        elif lead.steps.last_phases:
            lines.append(step_heading(lead))
            lines += breakdown(lead, width)
        if not short:
            lines.append(Content.styled("outside the steps, each the last time", MUTED))
        lines += between(lead, width, short)
        return lines


def running(
    lead: Process,
    until: float,
    width: int,
    over: bool,
    recalled: Mapping[str, Usual] = NOTHING,
) -> Content:
    """
    The phase of the moment: age, a bar against the usual, the usual. That of the
    last run, `recalled`, counts until there is one of this run.
    """
    phase = lead.phase
    stat = lead.phases.get(phase.name)
    typical = usual(stat)
    slowest = percentile(stat.recent, SLOW_SHARE) if stat else None
    last, where = recalled.get(phase.name), ""
    if typical is None and last is not None:
        typical, slowest, where = last.seconds, last.slowest, " last run"
    age = max(0.0, until - phase.since)
    between_looks = not over and _faster_than_looks(lead)
    if between_looks:
        typical, age = (
            usual_step_s(lead),
            max(0.0, until - (lead.steps.last_ended or until)),
        )
        where = ""
    name = "stepping" if between_looks else safe(phase.name)
    head = Content.assemble((name, STRONG), "  ", duration(age))
    if over and name == "end":
        head = Content.styled("ended", STRONG)
    elif over:
        took = f", {duration(age)} into it" if age else ""
        head = Content.assemble((f"ended in {name}", STRONG), took)
    counters = "" if between_looks else so_far(phase)
    if counters:
        head = Content.assemble(head, "  ", (counters, MUTED))
    if not between_looks and not over:
        far = how_far(phase, until, head, width)
        if far is not None:
            return far
    if typical is None or over:
        detail = Content.styled(safe(phase.detail), MUTED)
        return spread(head, detail, width)
    tail = Content.styled(f"usual {duration(typical)}{where}", MUTED)
    late = age > max(2 * typical, slowest or 0.0)
    room = width - head.cell_length - tail.cell_length - 4
    if room < 6:
        return spread(head, tail, width)
    scale = max(1.5 * typical, age)
    line = bar(age, scale, room, WARN if late else CALM, mark=typical)
    return Content("  ").join([head, line, tail])


def _faster_than_looks(lead: Process) -> bool:
    """Its phases change faster than they are looked at."""
    ended = lead.steps.last_ended
    return ended is not None and ended >= lead.phase.seen


def how_far(phase: PhaseNow, now: float, head: Content, width: int) -> Content | None:
    """A bar of what is done and the time left, where the end is known."""
    left = left_s(phase, now)
    if left is None or not phase.total:
        return None
    pace = speed(phase, now)
    for words in (
        f"{pace}, {duration(left)} left, expected by {phase.total_by}",
        f"{pace}, {duration(left)} left",
        f"{duration(left)} left",
    ):
        tail = Content.styled(words, MUTED)
        room = width - head.cell_length - tail.cell_length - 4
        if room >= 6 and (phase.total_by or "expected" not in words):
            line = bar(phase.bytes or phase.rows, phase.total, room, CALM)
            return Content("  ").join([head, line, tail])
    return spread(head, tail, width)


def clocks(lead: Process | None) -> str:
    """By which clock the phases are timed, where it is not simply the host's."""
    if lead is None or lead.trainable is None:
        return ""
    kinds = {name.partition(":")[0] for name in lead.trainable.devices}
    if not kinds - {"cpu", "meta"}:
        return ""
    if lead.device is None:
        return "by the host clock"
    return f"device (sampled {lead.device.sampled:,} of {lead.device.steps:,})"


def next_one(state: RunState) -> Content | None:
    """While a checkpoint is written: whether the one after it fits on the disk."""
    lead = state.lead
    if lead is None or lead.phase.name != "save" or state.over:
        return None
    if _faster_than_looks(lead):
        return None
    found = room_after(state)
    if found is None:
        return None
    numbers = f"about {size(found.needs)}, {size(found.free)} free then"
    if found.fits:
        return Content.styled(f"next one {numbers}", MUTED)
    return Content.styled(f"next one does not fit: {numbers}", WARN)


def stepping(
    lead: Process, width: int, now: float, over: bool, told: Content | None = None
) -> Content:
    """The step, the micro-step and the pace, or what is `told` in its place."""
    if lead.training is None and not lead.steps.count:
        return Content.styled("no step yet", MUTED)
    parts = [f"{lead.steps.count:,} done" if lead.steps.count else "no step done"]
    accumulation = lead.training.accumulation if lead.training else None
    micro = lead.phase.micro_step
    if micro and accumulation and accumulation > 1 and not _faster_than_looks(lead):
        parts.append(f"micro-step {micro}/{accumulation}")
    if lead.steps.skipped:
        parts.append(f"{lead.steps.skipped} skipped")
    each, tokens = usual_step_s(lead), tokens_per_s(lead)
    pace = []
    if each is not None:
        pace.append(f"{duration(each)}/step")
    if tokens is not None:
        pace.append(f"{rate(tokens)} tokens/s")
    old = stepped_long_ago(lead, now) and not over
    style = MUTED if old else ""
    right = told if told is not None else Content.styled(" · ".join(pace), style)
    return spread(Content(" · ".join(parts)), right, width)


def step_heading(lead: Process) -> Content:
    stat = lead.phases.get("step")
    clock = stat.clock if stat else "host"
    return Content.styled(
        f"last step {duration(lead.steps.last_s)}, by the {clock} clock", MUTED
    )


def breakdown(lead: Process, width: int) -> list[Content]:
    """One labelled bar for each part of the last step."""
    parts = step_parts(host_seconds(lead))
    total = max(seconds or 0.0 for seconds in parts.values())
    columns = 2 if width < 70 else 4
    each = column_width(width, columns)
    cells = []
    for name, seconds in parts.items():
        value = ABSENT if seconds is None else duration(seconds)
        line = bar(seconds, total, each - 18, PHASE_STYLES.get(name, OWN_PHASE))
        cells.append(Content.assemble(label(name), line, f"{value:>8}"))
    return grid(cells, columns, width)


def label(name: str) -> Content:
    return fit(Content.styled(safe(name), MUTED), 9) + Content(" ")


def host_seconds(lead: Process) -> dict[str, float]:
    """Part of the last step -> its seconds by the host's clock."""
    return {name: share[1] for name, share in lead.steps.last_phases.items()}


def device_heading(lead: Process, device: DeviceTimes, width: int) -> Content:
    """What the two columns of `breakdown_twice` are."""
    on_device = f"on the device {duration(device.seconds)} in step {device.step:,}"
    host = f"by the host clock {duration(lead.steps.last_s)}"
    return spread(Content.styled(on_device, MUTED), Content.styled(host, MUTED), width)


def breakdown_twice(lead: Process, device: DeviceTimes, width: int) -> list[Content]:
    """The parts of a step by the device's clock, and muted by the host's."""
    total = max(device.last_phases.values(), default=0.0)
    each = column_width(width, 2)
    cells = []
    for name, seconds in step_parts(device.last_phases).items():
        share = lead.steps.last_phases.get(name)
        value = ABSENT if seconds is None else duration(seconds)
        host = ABSENT if share is None else duration(share[1])
        room = each - 26
        cells.append(
            Content.assemble(
                label(name),
                bar(seconds, total, room, PHASE_STYLES.get(name, OWN_PHASE))
                if room > 3
                else "",
                f"{value:>8}",
                (f"{host:>8}", MUTED),
            )
        )
    return grid(cells, 2, width)


def breakdown_short(lead: Process, width: int) -> list[Content]:
    """
    The parts of the last step as numbers, the longest one bold; by the device's
    clock where a step was sampled.
    """
    device = lead.device
    parts = step_parts(host_seconds(lead) if device is None else device.last_phases)
    longest = max(seconds or 0.0 for seconds in parts.values())
    each = column_width(width, 4)
    cells = [
        pair(
            safe(name),
            ABSENT if seconds is None else duration(seconds),
            each,
            STRONG if seconds == longest else "",
        )
        for name, seconds in parts.items()
    ]
    return grid(cells, 4, width)


def between(lead: Process, width: int, short: bool) -> list[Content]:
    """What runs outside the steps, with the seconds of its last time."""
    columns = 4 if short else 3 if width < 70 else 6
    each = column_width(width, columns)
    names = between_names(lead)
    if short:
        names = [name for name in names if name in lead.phases][-columns:]
    cells = [pair(safe(name), last_time(lead.phases.get(name)), each) for name in names]
    return grid(cells, columns, width)


def last_time(stat: PhaseStat | None) -> str:
    return ABSENT if stat is None else duration(stat.last_s)
