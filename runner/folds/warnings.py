"""Warnings and findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.causes.repeating import ended_well
from trainwatch.runner.folds.parts import Fold, put
from trainwatch.runner.state import Finding, RunState, TriagedWarning


def _warning(state: RunState, event: ev.Event, body: ev.WarningTriaged) -> RunState:
    if body.severity == "not_a_warning":
        return state
    before = state.warnings.get(body.key)
    changed = before.changed if before else None
    if before and before.severity != body.severity:
        changed = event.time
    warning = TriagedWarning(
        key=body.key,
        rule=body.rule,
        severity=body.severity,
        kind=body.kind,
        text=body.text,
        why=body.why,
        do=body.do,
        count=body.count,
        first_step=body.first_step,
        last_step=body.last_step,
        phase=body.phase,
        ranks=tuple(body.ranks),
        source=body.source,
        origin=body.origin,
        evidence=body.evidence,
        first_seen=body.first_seen or event.time,
        last_seen=event.time,
        was=body.was,
        by=body.by,
        new=body.new,
        good_run=body.good_run,
        logger=body.logger,
        changed=changed,
        **_again(state, event, body, before),
    )
    return replace(state, warnings=put(state.warnings, body.key, warning))


def _again(
    state: RunState,
    event: ev.Event,
    body: ev.WarningTriaged,
    before: TriagedWarning | None,
) -> dict[str, Any]:
    """How often it came since something last ended well, and since when."""
    if before is None:
        return {"again": body.count, "again_since": event.time}
    more = max(0, body.count - before.count)
    ended = ended_well(state)
    if ended is not None and ended >= before.last_seen:
        return {"again": more, "again_since": event.time}
    return {"again": before.again + more, "again_since": before.again_since}


def _finding_raised(
    state: RunState, event: ev.Event, body: ev.FindingRaised
) -> RunState:
    finding = Finding(
        body.rule,
        body.severity,
        body.kind,
        body.summary,
        tuple(body.evidence),
        body.do,
        event.time,
        ended=body.ended,
    )
    return replace(state, findings=put(state.findings, body.rule, finding))


def _finding_cleared(
    state: RunState, event: ev.Event, body: ev.FindingCleared
) -> RunState:
    finding = state.findings.get(body.rule)
    if finding is None:
        return state
    cleared = replace(finding, cleared=event.time)
    return replace(state, findings=put(state.findings, body.rule, cleared))


FOLDS: dict[type[Any], Fold] = {
    ev.WarningTriaged: _warning,
    ev.FindingRaised: _finding_raised,
    ev.FindingCleared: _finding_cleared,
}
