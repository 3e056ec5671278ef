"""`docs/verdicts.md`: what was said of each case, as a test run saw it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence

from support.stuck import HOLD_S, PARALLEL, Record

HEAD = """\
# Verdicts

What the headline said of {cases} programs that are stuck, slow, waiting or failing,
and of {controls} that only look like it. `make verdicts` plays them all, up to
{parallel} at a time, and writes this page; `tests/e2e/stuck/cases.toml` says what each
one is and what is expected. Times are seconds from the moment at which the trouble
began, by the script's own clock, to the first headline that is right in state and
kind; it then had to stand for {hold:g} s. This table is from {machine}; figures in the
facts are from one moment of one run.

{right} of {cases} were said right and in time. {calm} of {controls} controls ended
without ever being called stuck or failing.
"""


def table(records: Sequence[Record]) -> str:
    """The page."""
    cases = [r for r in records if not r.case.control]
    controls = [r for r in records if r.case.control]
    head = HEAD.format(
        cases=len(cases),
        controls=len(controls),
        parallel=sum(PARALLEL.values()),
        hold=HOLD_S,
        machine=f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        right=sum(not r.wrong for r in cases),
        calm=sum(not r.wrong for r in controls),
    )
    return "\n".join(
        [
            head,
            "## Stuck, slow, waiting, failing",
            "",
            *_rows(
                ("case", "what it is", "said", "after", "the two facts", ""),
                (_case(r) for r in cases),
            ),
            "",
            "## Controls",
            "",
            *_rows(
                ("case", "what it is", "all that was said", "the last facts", ""),
                (_control(r) for r in controls),
            ),
            "",
        ]
    )


def _case(record: Record) -> tuple[str, ...]:
    said = record.met or record.last
    if said is None:
        return (record.case.name, record.case.what, "nothing", "", "", "wrong")
    kind = f", {said.kind}" if said.kind else ""
    sure = f" ({said.evidence})" if said.evidence else ""
    return (
        record.case.name,
        record.case.what,
        f"**{said.state}**{kind}{sure}",
        f"{said.at_s:.1f} s" if record.met else "never",
        "; ".join(fact for fact in said.facts if fact),
        _judged(record),
    )


def _control(record: Record) -> tuple[str, ...]:
    said = dict.fromkeys(change.state for change in record.changes)
    facts = "; ".join(f for f in record.alive.facts if f) if record.alive else ""
    return (
        record.case.name,
        record.case.what,
        " ".join(said),
        facts,
        _judged(record),
    )


def _judged(record: Record) -> str:
    wrong = record.wrong
    return f"wrong: {wrong[0]}" if wrong else ""


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
    ]


def _cell(text: str) -> str:
    for mark in "\\|<*`":
        if mark in text and not text.startswith("**"):
            text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
