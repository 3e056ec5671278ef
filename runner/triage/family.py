"""One family of warnings: counted, judged by evidence, told as an event."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainwatch.probes import events as ev
from trainwatch.runner.state import RunState, TriagedWarning
from trainwatch.runner.triage.engine import Judgement
from trainwatch.runner.triage.evidence import CALM, Evidence, Seen, rejudge, repeated
from trainwatch.runner.triage.known import Known
from trainwatch.runner.triage.own_engine import OwnJudgement
from trainwatch.runner.triage.rules import Rule
from trainwatch.runner.triage.sign import Sign


@dataclass
class Family:
    """One family of warnings, as the book counts and judges it."""

    key: str
    judgement: Judgement
    first_seen: float
    source: str
    origin: str
    phase: str
    base: str
    """The severity without evidence; the worst of its records."""
    logger: str = ""
    texts: dict[str, None] = field(default_factory=dict)
    evidence: Evidence | None = None
    """What the run shows, where the rule asks for it."""
    noise: Evidence | None = None
    """It repeats while no step ends."""
    sign: Sign | None = None
    """The finding of our own that stands."""
    count: int = 0
    first_step: int | None = None
    last_step: int | None = None
    ranks: set[int] = field(default_factory=set)
    steps: int | None = None
    """Steps that had ended when `since` and `count_then` were taken; None: never."""
    since: float = 0.0
    count_then: int = 0
    told: float | None = None
    told_count: int = 0
    changed: bool = True

    @property
    def severity(self) -> str:
        severity = self.evidence.severity if self.evidence else self.base
        if self.noise is not None and severity in CALM:
            return self.noise.severity
        return severity

    @property
    def shown(self) -> str:
        """What the run shows; nothing where the rule stands alone."""
        return "; ".join(e.shown for e in (self.evidence, self.noise) if e is not None)

    def look(self, state: RunState, now: float) -> None:
        """Judge it by what the run shows now."""
        judged_by = self.judgement.judged_by
        if judged_by:
            seen = Seen(
                tuple(self.texts), self.base, self.count, self.phase, self.first_step
            )
            self.evidence = rejudge(judged_by, state, seen) or self.evidence
        steps = state.lead.steps.count if state.lead else 0
        if steps != self.steps:
            self.count_then = 0 if self.steps is None else self.count
            self.steps, self.since, self.noise = steps, now, None
        elif self.noise is None:
            count = self.count - self.count_then
            self.noise = repeated(state, count, self.since, now)

    def tell(self, now: float, known: Known | None) -> ev.WarningTriaged:
        """The event that says all of it, against what earlier runs said."""
        self.told = now
        self.told_count = self.count
        self.changed = False
        judgement = self.judgement
        was, by = "", ""
        if isinstance(judgement, OwnJudgement):
            was, by = judgement.was, "yours"
        if self.severity != self.base:
            was, by = was or self.base, "evidence"
        return ev.WarningTriaged(
            key=self.key,
            rule=judgement.rule,
            severity=self.severity,
            kind=judgement.kind,
            text=judgement.text,
            why=judgement.why,
            do=judgement.do,
            count=self.count,
            first_step=self.first_step,
            last_step=self.last_step,
            phase=self.phase,
            ranks=sorted(self.ranks),
            source=self.source,
            origin=self.origin,
            first_seen=self.first_seen,
            evidence=self.shown or "; ".join(judgement.evidence),
            was=was,
            by=by,
            new=None if known is None else self.key not in known.families,
            good_run="" if known is None else known.run,
            logger=self.logger,
        )


def restored(known: TriagedWarning, rule: Rule | None) -> Family:
    """The family that another supervisor has told as `known`."""
    judgement = Judgement(
        known.rule,
        known.was or known.severity,
        known.kind,
        known.text,
        known.why,
        known.do,
        rule.evidence if rule else (),
        rule.judged_by if rule else "",
    )
    family = Family(
        known.key,
        judgement,
        known.first_seen,
        known.source,
        known.origin,
        known.phase,
        judgement.severity,
        known.logger,
        {known.text: None},
        count=known.count,
        first_step=known.first_step,
        last_step=known.last_step,
        ranks=set(known.ranks),
        told=known.last_seen,
        told_count=known.count,
        changed=False,
    )
    if known.by == "evidence":
        family.evidence = Evidence(known.severity, known.evidence)
    return family
