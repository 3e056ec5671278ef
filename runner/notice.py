"""
What is worth calling a person for, and not twice for the same thing.

Pure: `Notices` is asked once a second by the supervisor, what it says becomes an
event, and what the log holds is not said again, by a later supervisor either.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainwatch.probes import events as ev
from trainwatch.runner.state import Notice, RunState
from trainwatch.runner.text import plain

if TYPE_CHECKING:
    from trainwatch.runner.verdict import Verdict

SCHEMA = 1
END = "end"
TROUBLES = ("stuck", "failing", "waiting")
HOLD_S = 5.0
"""A trouble that is over sooner is not told. What is serious and comes with the end
or with another trouble is told with that."""
REARM_S = 60.0
"""A trouble that was gone for less is still the same."""
MOST = 40
"""Serious things that one run calls for."""
LONGEST = 400
WORDS = 20


class Notices:
    """What to tell of a run, from what it told before."""

    def __init__(self) -> None:
        self._trouble = ""
        self._began = 0.0
        self._told: set[str] | None = None
        """Troubles that are told and not over for long enough; None at first."""
        self._left: dict[str, float] = {}
        self._seen: dict[str, float] = {}

    def due(self, state: RunState, verdict: Verdict, now: float) -> Notice | None:
        """What to tell at wall clock `now`; at most one thing at a time."""
        known = keys(state)
        if state.over:
            return None if END in known else ending(state, verdict, now)
        serious = self._serious(state, known, now)
        trouble = self._comes(state, verdict, now)
        if trouble:
            return _notice(state, trouble, verdict.state, _facts(verdict), now, serious)
        ripe = [key for key in serious if now - self._seen[key] >= HOLD_S]
        if not ripe or sum(key.startswith("serious ") for key in known) >= MOST:
            return None
        text = _says(state, ripe[0])
        if len(ripe) > 1:
            text += f" (and {len(ripe) - 1} more)"
        return _notice(state, ripe[0], "serious", text, now, ripe[1:])

    def _comes(self, state: RunState, verdict: Verdict, now: float) -> str:
        """The key of a trouble that is to be told; empty for none."""
        if self._told is None:
            self._told = {notice.kind for notice in state.notices}
            self._left = dict.fromkeys(TROUBLES, now)
        current = verdict.state if calls(state, verdict) else ""
        if current != self._trouble:
            self._left[self._trouble] = now
            self._trouble, self._began = current, now
            if now - self._left.get(current, now) >= REARM_S:
                self._told.discard(current)
        if not current or current in self._told or now - self._began < HOLD_S:
            return ""
        self._told.add(current)
        return f"{current} {1 + sum(n.kind == current for n in state.notices)}"

    def _serious(self, state: RunState, known: set[str], now: float) -> list[str]:
        """Keys of serious things that stand and were not told."""
        found = [
            f"serious {warning.key}"
            for warning in state.warnings.values()
            if warning.severity == "serious" and not warning.known
        ]
        found += [
            f"serious {finding.rule} {finding.since:.0f}"
            for finding in state.findings.values()
            if finding.severity == "serious" and finding.cleared is None
        ]
        found = [key for key in found if key not in known]
        for key in found:
            self._seen.setdefault(key, now)
        return found


def calls(state: RunState, verdict: Verdict) -> bool:
    """Whether a state of a living run needs a person."""
    if verdict.state != "waiting":
        return verdict.state in TROUBLES
    # For the keyboard, which nobody else can help with, if nobody has it already.
    held = any(c.command == "keyboard" and c.outcome is None for c in state.commands)
    return verdict.kind == "shell" and not held


def keys(state: RunState) -> set[str]:
    """Everything that was told."""
    return {key for notice in state.notices for key in (notice.key, *notice.also)}


def ending(state: RunState, verdict: Verdict, now: float) -> Notice:
    """The notice of a run that is over."""
    kind = "end" if state.run.status in ("finished", "aborted") else "death"
    return _notice(state, END, kind, _facts(verdict), now, word=state.run.status)


def _notice(
    state: RunState,
    key: str,
    kind: str,
    text: str,
    now: float,
    also: list[str] | None = None,
    word: str = "",
) -> Notice:
    name = state.run.name or state.run.id
    title = plain(f"{name}: {word or kind}")[:LONGEST]
    text = plain(text.replace("\n", " "))[:LONGEST]
    return Notice(key, kind, title, text, tuple(also or ())[:MOST], now)


def _facts(verdict: Verdict) -> str:
    return " · ".join(fact for fact in (*verdict.facts, verdict.do) if fact)


def _says(state: RunState, key: str) -> str:
    for warning in state.warnings.values():
        if key == f"serious {warning.key}":
            return warning.text.strip().partition("\n")[0] or warning.rule
    for finding in state.findings.values():
        if key.startswith(f"serious {finding.rule} "):
            return finding.summary
    return ""


def document(state: RunState, verdict: Verdict, notice: Notice, home: str) -> Any:
    """What the user's own command gets on its stdin."""
    run, lead = state.run, state.lead
    return {
        "schema": SCHEMA,
        "kind": notice.kind,
        "title": notice.title,
        "text": notice.text,
        "time": _moment(notice.given),
        "run": {
            "id": run.id,
            "name": run.name,
            "argv": [word[:LONGEST] for word in run.argv[:WORDS]],
            "cwd": run.cwd,
            "status": run.status,
            "exit_code": run.exit_code,
            "signal": run.signal,
            "started": _moment(run.started),
            "ended": _moment(run.ended),
            "home": home,
        },
        "verdict": {
            "state": verdict.state,
            "kind": verdict.kind,
            "evidence_status": verdict.evidence_status,
            "facts": [plain(fact)[:LONGEST] for fact in verdict.facts],
        },
        "step": lead.step if lead else None,
        "max_steps": lead.training.max_steps if lead and lead.training else None,
    }


def _moment(at: float | None) -> str | None:
    if at is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def said(notice: Notice) -> ev.NoticeGiven:
    """The event of a notice."""
    return ev.NoticeGiven(
        notice.key,
        notice.kind,
        notice.title,
        notice.text,
        list(notice.also),
        notice.error,
    )


def given(state: RunState, event: ev.Event, body: ev.NoticeGiven) -> RunState:
    """The state with a notice that was given; a later word on it replaces it."""
    also = tuple(body.also)
    notice = Notice(
        body.key, body.kind, body.title, body.text, also, event.time, body.error
    )
    others = tuple(n for n in state.notices if n.key != body.key)
    return replace(state, notices=(*others, notice))
