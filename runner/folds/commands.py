"""What was asked of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner.folds.parts import Fold
from trainwatch.runner.state import Command, RunState

COMMANDS = 64


def _command_asked(state: RunState, event: ev.Event, body: ev.CommandAsked) -> RunState:
    rung = body.detail if body.command == "abort" else ""
    command = Command(body.id, body.command, event.time, None, body.detail, rung=rung)
    return replace(state, commands=(*state.commands[-COMMANDS + 1 :], command))


def _command_changed(
    state: RunState,
    event: ev.Event,
    body: ev.CommandProgressed | ev.CommandFinished,
) -> RunState:
    def changed(command: Command) -> Command:
        if command.id != body.id:
            return command
        if isinstance(body, ev.CommandProgressed):
            return replace(
                command,
                detail=body.detail,
                rung=body.rung or command.rung,
                saved=body.saved or command.saved,
            )
        return replace(
            command,
            outcome=body.outcome,
            detail=body.detail,
            path=body.path,
            finished=event.time,
        )

    return replace(state, commands=tuple(changed(c) for c in state.commands))


FOLDS: dict[type[Any], Fold] = {
    ev.CommandAsked: _command_asked,
    ev.CommandProgressed: _command_changed,
    ev.CommandFinished: _command_changed,
}
