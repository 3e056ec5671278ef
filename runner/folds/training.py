"""What is trained, and by what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import resume
from trainwatch.runner.folds.parts import Fold, process_of, with_process
from trainwatch.runner.state import RunState, Trainable, Training


def _training_began(
    state: RunState, event: ev.Event, body: ev.TrainingBegan
) -> RunState:
    known = process_of(state, event).training or Training()
    if known.began == event.time:
        # Told again to a new supervisor: the steps since then stay counted.
        return state
    return with_process(
        state,
        event.pid,
        role="rank",
        step=body.step,
        training=replace(
            known,
            trainer=body.trainer,
            max_steps=body.max_steps,
            epochs=body.epochs,
            output_dir=body.output_dir,
            batch_size=body.batch_size,
            accumulation=body.accumulation,
            save_total_limit=body.save_total_limit,
            can_save=body.can_save,
            resumable=body.resumable,
            workers=body.workers,
            precision=body.precision,
            resumed=None,
            first_step=body.step,
            began=event.time,
            ended=None,
        ),
        recent={},
        progressed=event.time,
    )


def _length(state: RunState, event: ev.Event, body: ev.LengthGuessed) -> RunState:
    training = process_of(state, event).training or Training()
    guessed = replace(training, max_steps=body.max_steps, length_by=body.evidence)
    return with_process(state, event.pid, training=guessed)


def _resumed(state: RunState, event: ev.Event, body: ev.TrainingResumed) -> RunState:
    training = process_of(state, event).training or Training()
    resumed = resume.told(body, event.time)
    return with_process(state, event.pid, training=replace(training, resumed=resumed))


def _training_ended(
    state: RunState, event: ev.Event, body: ev.TrainingEnded
) -> RunState:
    training = process_of(state, event).training or Training()
    return with_process(
        state,
        event.pid,
        training=replace(training, ended=event.time),
        progressed=event.time,
    )


def _model(state: RunState, event: ev.Event, body: ev.ModelDescribed) -> RunState:
    process = process_of(state, event)
    return with_process(
        state,
        event.pid,
        trainable=Trainable(
            body.model,
            body.trainable,
            body.parameters,
            body.dtypes,
            body.devices,
            body.linear_width,
            tuple(body.linear_names),
            body.accelerator,
        ),
        ledger=replace(
            process.ledger,
            weights_trainable=body.weights_trainable,
            weights_frozen=body.weights_frozen,
        ),
    )


def _optimizer(
    state: RunState, event: ev.Event, body: ev.OptimizerDescribed
) -> RunState:
    training = process_of(state, event).training or Training()
    return with_process(
        state,
        event.pid,
        training=replace(
            training, optimizer=body.optimizer, implementation=body.implementation
        ),
    )


FOLDS: dict[type[Any], Fold] = {
    ev.TrainingBegan: _training_began,
    ev.LengthGuessed: _length,
    ev.TrainingResumed: _resumed,
    ev.TrainingEnded: _training_ended,
    ev.ModelDescribed: _model,
    ev.OptimizerDescribed: _optimizer,
}
