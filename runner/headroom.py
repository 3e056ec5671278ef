"""
Our findings on memory that will not be enough. Pure: from the state of a run.

What is forecast not to fit stands until it was survived; a limit that a rising level
will meet stands until the level rises no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from trainwatch.probes import events as ev
from trainwatch.runner import forecast, watermark
from trainwatch.runner.slope import Trend, trend
from trainwatch.runner.state import Forecast, Process, RunState
from trainwatch.runner.text import size

FORECAST = "memory.forecast"
AHEAD = "memory.limit-ahead"
FAR = 1000
"""Steps beyond which a limit is not told where the run's length is not known."""
SEVERITIES = {"no": "serious", "tight": "attention"}
LEAK = (
    "Look for what is kept: losses or outputs appended with their graph (use .item() "
    "or .detach()), caches that grow, lengths that grow."
)
EVALUATION = (
    "An evaluation keeps its logits: preprocess_logits_for_metrics, "
    "prediction_loss_only, or eval_accumulation_steps."
)
Change = ev.FindingRaised | ev.FindingCleared


def changes(state: RunState) -> Iterator[Change]:
    """What began, became worse or ended since it was told."""
    if state.over:
        return
    yield from _change(state, FORECAST, forecast_finding(state), _survived(state))
    yield from _change(state, AHEAD, ahead_finding(state), _levelled(state))
    yield from _change(state, watermark.RULE, watermark.finding(state), "")


def _change(
    state: RunState, rule: str, found: ev.FindingRaised | None, over: str
) -> Iterator[Change]:
    known = state.findings.get(rule)
    stands = known is not None and known.cleared is None
    if found is not None:
        if known is None or not stands or known.severity != found.severity:
            yield found
    elif stands and over:
        yield ev.FindingCleared(rule, over)


def forecast_finding(state: RunState) -> ev.FindingRaised | None:
    """The worst of what is to come on any rank."""
    found = [
        (told, process)
        for process in _trained(state)
        for told in forecast.to_come(process)
        if forecast.fits(told) in SEVERITIES
    ]
    if not found:
        return None
    told, process = max(found, key=lambda each: _short_of(each[0]))
    rank = f"rank {process.rank}: " if len(state.ranks) > 1 else ""
    verdict = forecast.fits(told)
    text = forecast.sentence(told)
    if verdict == "tight":
        text += ": it fits, with little room"
    evidence = [told.method]
    if told.state is not None and told.temporary is not None:
        evidence.append(
            f"{size(told.state)} of state that stays, {size(told.temporary)} only "
            "inside the call"
        )
    return ev.FindingRaised(
        rule=FORECAST,
        severity=SEVERITIES[verdict],
        kind="resource",
        summary=rank + text,
        evidence=evidence,
        do=forecast.advice(told),
    )


def _short_of(told: Forecast) -> int:
    return (told.needs or 0) - (told.headroom or 0)


def _survived(state: RunState) -> str:
    """How it is seen that what was forecast has passed; "" where it has not."""
    for process in _trained(state):
        for told in reversed(process.forecasts):
            if told.met is not None and forecast.fits(told) in SEVERITIES:
                return f"{forecast.name(told)} ran: {forecast.outcome(told)}"
    return ""


def ahead_finding(state: RunState) -> ev.FindingRaised | None:
    """The first limit that a rising level will meet while the run lasts."""
    for process in _trained(state):
        rising = trend(process, state.host)
        if rising is None or not meets_in_time(rising, process):
            continue
        assert rising.left is not None
        do = EVALUATION if rising.unit == "batch" else LEAK
        rank = f"rank {process.rank}: " if len(state.ranks) > 1 else ""
        return ev.FindingRaised(
            rule=AHEAD,
            severity="serious",
            kind="resource",
            summary=rank + ahead(rising),
            evidence=[
                f"heuristic: a line through the levels of this run, "
                f"{size(rising.per_unit)} a {rising.unit}",
                f"{size(rising.now)} at {rising.unit} {rising.at:,.0f}",
            ],
            do=do,
        )
    return None


def ahead(rising: Trend) -> str:
    """`memory rises by 50 MB a step: the 4 GB of RAM are met at about step 61`."""
    text = f"memory rises by {size(rising.per_unit)} a {rising.unit}"
    if rising.meets is None or rising.left is None:
        return text
    return (
        f"{text}: {rising.limit_by} ({size(rising.limit)}) is met at about "
        f"{rising.unit} {rising.meets:,.0f}, in {rising.left:,.0f}"
    )


def meets_in_time(rising: Trend, process: Process) -> bool:
    """The limit is met before the run, or the evaluation, is over."""
    if rising.meets is None or rising.left is None:
        return False
    if rising.unit == "batch":
        end = process.phase.total
    else:
        end = process.training.max_steps if process.training else None
    return rising.meets <= end if end is not None else rising.left <= FAR


def _levelled(state: RunState) -> str:
    live = [p for p in _trained(state) if p.training and not p.training.ended]
    if not live or any(trend(process, state.host) is not None for process in live):
        return ""
    return "memory rises no more"


def _trained(state: RunState) -> tuple[Process, ...]:
    return tuple(p for p in state.ranks if p.left is None and not p.error_kind)
