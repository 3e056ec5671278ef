"""Generations, from the first token to the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.folds.parts import Fold, process_of, with_process
from trainwatch.runner.state import Generation, RunState

GENERATIONS = 32


def _generation_began(
    state: RunState, event: ev.Event, body: ev.GenerationBegan
) -> RunState:
    process = process_of(state, event)
    generation = Generation(
        id=body.id,
        prompt_tokens=body.prompt_tokens,
        max_new_tokens=body.max_new_tokens,
        batch=body.batch,
        step=body.step,
        began=event.time,
    )
    if body.began is not None:
        ago = max(0.0, event.mono - body.began)
        generation = replace(generation, began=event.time - ago)
    return with_process(
        state,
        event.pid,
        generations=(*process.generations[-GENERATIONS + 1 :], generation),
        generation_count=process.generation_count + 1,
        progressed=event.time,
    )


def _generation_advanced(
    state: RunState, event: ev.Event, body: ev.GenerationAdvanced
) -> RunState:
    facts = {**vars(body), "seen": event.time}
    process = process_of(state, event)
    return with_process(
        state,
        event.pid,
        generations=_told(process.generations, body.id, facts),
        progressed=event.time,
    )


def _generation_ended(
    state: RunState, event: ev.Event, body: ev.GenerationEnded
) -> RunState:
    process = process_of(state, event)
    generated = process.generated
    rows = body.rows if body.rows_at_cap is not None else None
    return with_process(
        state,
        event.pid,
        generations=_told(process.generations, body.id, {**vars(body), "done": True}),
        generated=replace(
            generated,
            calls=generated.calls + 1,
            failed=generated.failed + body.failed,
            tokens=generated.tokens + body.tokens,
            seconds=generated.seconds + body.seconds,
            capped=generated.capped + (body.hit_cap is not None),
            at_cap=generated.at_cap + bool(body.hit_cap),
            rows=generated.rows + (rows or 0),
            rows_at_cap=generated.rows_at_cap + (body.rows_at_cap or 0),
        ),
        progressed=event.time,
    )


def _told(
    generations: tuple[Generation, ...], number: int, facts: Mapping[str, Any]
) -> tuple[Generation, ...]:
    """`generations` where number `number` has what `facts` say of it."""
    known = {name: value for name, value in facts.items() if value is not None}
    return tuple(replace(g, **known) if g.id == number else g for g in generations)


FOLDS: dict[type[Any], Fold] = {
    ev.GenerationBegan: _generation_began,
    ev.GenerationAdvanced: _generation_advanced,
    ev.GenerationEnded: _generation_ended,
}
