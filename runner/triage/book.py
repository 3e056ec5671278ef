"""
The live ledger of a run's warnings: families, their counts, ranks and steps.

A warning reaches the supervisor twice: from the probe where it was raised, and
as text on the console. It counts once. The probe's word counts; the console's
waits a moment for it, and stands alone where no probe speaks.

Times are wall clock seconds, given by the caller.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trainwatch.probes import events as ev
from trainwatch.runner.state import Process, RunState, TriagedWarning
from trainwatch.runner.triage.cutter import Cutter
from trainwatch.runner.triage.engine import Engine, Judgement, fold_key
from trainwatch.runner.triage.evidence import Evidence
from trainwatch.runner.triage.family import Family, restored
from trainwatch.runner.triage.findings import recovered, signs
from trainwatch.runner.triage.known import Known
from trainwatch.runner.triage.records import Record, read
from trainwatch.runner.triage.rules import SEVERITIES
from trainwatch.runner.triage.sign import Sign

MAX_FAMILIES = 2000
MORE = "more"
"""The key of the one family that takes what does not fit any more."""
MAX_SAID = 10_000
"""Sayings of probes that are remembered, to know their console copies."""
MAX_HELD = 10_000
HOLD_S = 1.0
"""How long a console record waits for the probe's word."""
EVERY_S = 1.0
"""One family is told at most once in this time, after its first."""
QUIET_S = 0.5
"""Console silence after which an open record is taken as complete."""
MAX_TEXTS = 8
"""Different records of a family whose text is kept for its evidence."""
METRICS = "metrics"
"""The source of our own findings."""
Told = ev.WarningTriaged | ev.FindingRaised | ev.FindingCleared


@dataclass(frozen=True)
class _Held:
    record: Record
    time: float
    phase: str
    step: int | None


class Book:
    """
    What the supervisor feeds and asks. Not thread-safe.

    Memory is bounded: `MAX_FAMILIES` families, `MAX_SAID` sayings, `MAX_HELD`
    waiting console records.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        context: Mapping[str, object] | None = None,
        known: Known | None = None,
    ) -> None:
        self._engine = engine or Engine.standard()
        self._known = known
        self.context: dict[str, object] = dict(context or {})
        """Facts for rules that ask for them: model, device, precision, task."""
        self._families: dict[str, Family] = {}
        self._cutter = Cutter()
        self._fed: float | None = None
        self._place: tuple[str, int | None] = ("", None)
        self._held: deque[_Held] = deque()
        self._said: OrderedDict[str, None] = OrderedDict()
        """Fingerprints of what probes reported."""
        self._alone: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """Fingerprint -> family and how often only the console had said it."""
        self._found_in = _rests_on(None)
        """What our findings were last asked of."""

    # --- in -----------------------------------------------------------------

    def from_probe(
        self, event: ev.WarningRaised, time: float, rank: int | None
    ) -> None:
        """A warning as the probe of one process saw it."""
        record = read(
            event.text,
            stream=event.source,
            logger=event.logger,
            level=event.level,
            category=event.category,
            file=event.file,
            line=event.line,
            context=self._context(event.phase),
        )
        judgement = self._engine.judge(record)
        self._probe_said(record.fingerprint)
        if judgement is not None:
            self._count(
                record,
                judgement,
                time,
                event.phase,
                event.step,
                rank,
                max(1, event.count),
                event.source or "warnings",
            )

    def from_probe_exception(
        self, event: ev.ExceptionRaised, time: float, rank: int | None
    ) -> None:
        """An exception that ended, or would have ended, a process."""
        said = f"{event.kind}: {event.message}" if event.message else event.kind
        text = said
        if event.traceback:
            whole = event.traceback.rstrip()
            last = said.partition("\n")[0]
            text = whole if last and last in whole else f"{whole}\n{said}"
        record = read(text, stream="stderr", context=self._context(event.phase))
        judgement = self._engine.judge(record)
        self._probe_said(record.fingerprint)
        self._probe_said(read(said).fingerprint)
        if judgement is not None:
            self._count(
                record,
                judgement,
                time,
                event.phase,
                event.step,
                rank,
                1,
                "exception",
            )

    def from_console(
        self, text: str, time: float, phase: str = "", step: int | None = None
    ) -> None:
        """A piece of the console's text, as it comes, cut anywhere."""
        self._fed = time
        place, self._place = self._place, (phase, step)
        records = self._cutter.feed(text)
        for number, record in enumerate(records):
            # The first record may have begun before this piece.
            self._hold(
                record, time, *(place if number == 0 and place[0] else (phase, step))
            )

    # --- out ----------------------------------------------------------------

    def due(self, now: float) -> list[ev.WarningTriaged]:
        """The families to tell now: new ones, and changed ones once a second."""
        if self._fed is not None and now - self._fed >= QUIET_S:
            self._fed = None
            for record in self._cutter.settle():
                self._hold(record, now, *self._place)
        while self._held and now - self._held[0].time >= HOLD_S:
            self._release(self._held.popleft())
        told = []
        for family in self._families.values():
            if not family.changed:
                continue
            if family.told is not None and now - family.told < EVERY_S:
                continue
            told.append(family.tell(now, self._known))
        return told

    def flush(self, now: float) -> list[ev.WarningTriaged]:
        """Everything that is left, at the end of the run."""
        for record in self._cutter.flush():
            self._hold(record, now, *self._place)
        while self._held:
            self._release(self._held.popleft())
        return [
            family.tell(now, self._known)
            for family in self._families.values()
            if family.changed
        ]

    def rejudge(self, state: RunState, now: float) -> list[Told]:
        """
        The families whose severity the run's evidence changes, and our own findings
        that begin, change or end.
        """
        told: list[Told] = []
        for family in self._families.values():
            before = (family.severity, bool(family.shown))
            family.look(state, now)
            if (family.severity, bool(family.shown)) != before:
                told.append(family.tell(now, self._known))
        seen = _rests_on(state.lead)
        if any(new is not old for new, old in zip(seen, self._found_in, strict=True)):
            self._found_in = seen
            told += self._find(state, now)
        return told

    def restore(self, warnings: Iterable[TriagedWarning]) -> None:
        """Go on from what another supervisor has told."""
        rules = {rule.id: rule for rule in self._engine.rules}
        for known in warnings:
            family = restored(known, rules.get(known.rule))
            self._families[known.key] = family

    # --- inside -------------------------------------------------------------

    def _find(self, state: RunState, now: float) -> list[Told]:
        """Our own findings, as families like all others and as events of their own."""
        told: list[Told] = []
        standing = {sign.rule: sign for sign in signs(state)}
        for sign in standing.values():
            told += self._raise(sign, state, now)
        for family in self._families.values():
            lead, sign_before = state.lead, family.sign
            if lead is None or sign_before is None or family.key in standing:
                continue
            reason = recovered(sign_before, lead)
            if not reason:
                continue
            family.sign = None
            serious = family.severity == "serious"
            family.evidence = Evidence("attention" if serious else "harmless", reason)
            told += [
                family.tell(now, self._known),
                ev.FindingCleared(rule=family.key, reason=reason),
            ]
        return told

    def _raise(self, sign: Sign, state: RunState, now: float) -> list[Told]:
        family = self._families.get(sign.rule)
        if family is None:
            judgement = Judgement(
                sign.rule, sign.severity, sign.kind, sign.summary, sign.why, sign.do
            )
            family = self._families[sign.rule] = Family(
                sign.rule, judgement, now, METRICS, "", "", sign.severity
            )
            family.first_step = sign.first_step
        before = family.severity, family.sign is not None
        severity = sign.severity
        if family.sign is not None:
            # What stands is not called better because old numbers were left out.
            severity = min(severity, family.severity, key=SEVERITIES.index)
        family.sign = sign
        family.count = max(family.count, sign.count)
        family.last_step = sign.last_step
        shown = "heuristic: " + "; ".join(sign.evidence)
        family.evidence = Evidence(severity, shown)
        stands = before == (family.severity, True)
        if stands and family.count < 2 * family.told_count:
            return []
        told: list[Told] = [family.tell(now, self._known)]
        known = state.findings.get(sign.rule)
        raised = known is not None and known.cleared is None
        if not stands and not (raised and known and known.severity == severity):
            told.append(
                ev.FindingRaised(
                    rule=sign.rule,
                    severity=severity,
                    kind=sign.kind,
                    summary=sign.summary,
                    evidence=list(sign.evidence),
                    do=sign.do,
                )
            )
        return told

    def _context(self, phase: str) -> dict[str, object]:
        return {**self.context, "phase": phase} if phase else self.context

    def _hold(self, record: Record, time: float, phase: str, step: int | None) -> None:
        if self._engine.judge(record) is None:
            return
        self._held.append(_Held(record, time, phase, step))
        if len(self._held) > MAX_HELD:
            self._release(self._held.popleft())

    def _release(self, held: _Held) -> None:
        said = held.record.fingerprint
        if said in self._said:
            return
        fields = {**vars(held.record), "context": self._context(held.phase)}
        record = Record(**fields)
        judgement = self._engine.judge(record)
        if judgement is None:
            return
        if self._found_in[0] and is_printed_metrics(record.message):
            return  # Our findings see the same as numbers.
        family = self._count(
            record,
            judgement,
            held.time,
            held.phase,
            held.step,
            record.rank,
            1,
            "console",
        )
        _, before = self._alone.pop(said, (family.key, 0))
        self._alone[said] = (family.key, before + 1)
        if len(self._alone) > MAX_SAID:
            self._alone.popitem(last=False)

    def _probe_said(self, fingerprint: str) -> None:
        self._said[fingerprint] = None
        self._said.move_to_end(fingerprint)
        if len(self._said) > MAX_SAID:
            self._said.popitem(last=False)
        key, count = self._alone.pop(fingerprint, ("", 0))
        family = self._families.get(key)
        if family is not None:
            # The probe was late: its count replaces the console's.
            family.count = max(0, family.count - count)
            family.changed = True

    def _count(
        self,
        record: Record,
        judgement: Judgement,
        time: float,
        phase: str,
        step: int | None,
        rank: int | None,
        count: int,
        source: str,
    ) -> Family:
        key = fold_key(judgement, record)
        family = self._families.get(key)
        if family is None:
            if len(self._families) >= MAX_FAMILIES:
                return self._count_more(judgement, time, count)
            family = self._families[key] = Family(
                key,
                judgement,
                time,
                source,
                _origin(record),
                phase,
                judgement.severity,
                record.logger,
                first_step=step,
            )
        if len(family.texts) < MAX_TEXTS:
            family.texts[record.text] = None
        family.base = min(family.base, judgement.severity, key=SEVERITIES.index)
        family.count += count
        family.changed = True
        if step is not None:
            family.last_step = step
            if family.first_step is None:
                family.first_step = step
        if rank is not None:
            family.ranks.add(rank)
        return family

    def _count_more(self, judgement: Judgement, time: float, count: int) -> Family:
        family = self._families.get(MORE)
        if family is None:
            more = Judgement(
                "",
                "unclassified",
                "",
                "more kinds of warnings than are kept apart",
                "The program says too many different things to list.",
                "Look at the console.",
            )
            family = self._families[MORE] = Family(
                MORE, more, time, "", "", "", "unclassified"
            )
        if judgement.severity == "serious":
            family.base = "serious"
        family.count += count
        family.changed = True
        return family


def _rests_on(lead: Process | None) -> tuple[object, ...]:
    """The parts of a process that our findings look at, the metrics first."""
    if lead is None:
        return (None,) * 5
    return lead.recent, lead.trainable, lead.training, lead.ledger, lead.generated


def is_printed_metrics(message: str) -> bool:
    """True for a line of metrics as transformers' Trainer prints it."""
    said = message.strip()
    return (
        said.startswith("{'")
        and said.endswith("}")
        and ("'loss': " in said or "'grad_norm': " in said)
    )


def _origin(record: Record) -> str:
    """Where it came from: file:line, logger or category."""
    if record.file:
        return f"{record.file}:{record.line}" if record.line else record.file
    return record.logger or record.category
