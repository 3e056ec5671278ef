"""The JSON that scripts build on: fields are added, never renamed or removed."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainwatch.probes import events as ev
from trainwatch.runner import forecast, progress, review, room, salvage
from trainwatch.runner.bill import RANK, bill, lora
from trainwatch.runner.durations import percentile, usual
from trainwatch.runner.generation import cap_share, left_s, row_cap_share
from trainwatch.runner.memory import rest_is_activations, rest_of_peak
from trainwatch.runner.shares import shares
from trainwatch.runner.state import (
    Checkpoint,
    DeviceTimes,
    Forecast,
    Generated,
    Generation,
    PhaseStat,
    Process,
    Resumed,
    RunState,
)
from trainwatch.runner.unseen import log_only, unseen
from trainwatch.runner.view import RunView

SCHEMA = 1


def show_document(view: RunView, folder: Path) -> dict[str, Any]:
    """
    One run, as `trainwatch show --json` prints it.

    Bytes are integers, durations float seconds, moments RFC 3339 in UTC; what was
    not measured is null, and so is a number that is not finite (the metric's name
    then stands in `not_finite`).
    """
    state = view.state
    run = state.run
    document = {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "name": run.name,
            "argv": list(run.argv),
            "cwd": run.cwd,
            "status": run.status,
            "exit_code": run.exit_code,
            "signal": run.signal,
            "started": moment(run.started),
            "ended": moment(run.ended),
            "detail": run.detail,
            "supervised": view.supervised,
            "home": str(folder),
        },
        "verdict": {
            "state": view.verdict.state,
            "kind": view.verdict.kind,
            "evidence_status": view.verdict.evidence_status,
            "facts": list(view.verdict.facts),
            "since": moment(view.verdict.since),
            "age_s": _number(view.verdict.age_s),
            "do": view.verdict.do or None,
        },
        "processes": [
            process_document(process, view.now, state.over)
            for process in sorted(state.processes.values(), key=lambda p: p.joined)
        ],
        "usual": {
            "run": state.usual_run or None,
            "phases": {
                name: {
                    "count": known.count,
                    "median_s": _number(known.seconds),
                    "p95_s": _number(known.slowest),
                    "first_s": _number(known.first),
                }
                for name, known in state.usual.items()
            },
        },
        "warnings": warnings_document(state),
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "kind": finding.kind,
                "summary": finding.summary,
                "evidence": list(finding.evidence),
                "do": finding.do,
                "since": moment(finding.since),
                "cleared": moment(finding.cleared),
                "ended": finding.ended,
            }
            for finding in state.findings.values()
        ],
        "checkpoints": [
            {
                "path": checkpoint.path,
                "step": checkpoint.step,
                "bytes": checkpoint.bytes,
                "complete": checkpoint.complete,
                "resumable": checkpoint.resumable,
                "seconds": _number(checkpoint.seconds),
                "detail": checkpoint.detail,
                "ours": checkpoint.ours,
                "verified": checkpoint.verified,
                "written": moment(checkpoint.written),
                "disk_free": checkpoint.disk_free,
            }
            for checkpoint in state.checkpoints.values()
        ],
        "next_checkpoint": next_document(state),
        "resume_from": _path(salvage.offered(state)),
        "commands": [
            {
                "command": command.command,
                "asked": moment(command.asked),
                "outcome": command.outcome,
                "detail": command.detail,
                "path": command.path,
                "finished": moment(command.finished),
                "rung": command.rung or None,
                "saved": command.saved or None,
            }
            for command in state.commands
        ],
        "host": {
            "cpu": state.host.cpu,
            "cpu_host": state.host.cpu_host,
            "cores": state.host.cores,
            "ram": state.host.ram_total,
            "ram_available": state.host.ram_available,
            "ram_limit": state.host.ram_limit,
            "tree_rss": state.host.tree_rss,
            "swap_used": state.host.swap_used,
            "swap_in_per_s": state.host.swap_in_per_s,
            "disk_free": state.host.disk_free,
            "console_lost": state.host.console_lost,
            "cgroup_limit": state.host.cgroup_limit,
            "cgroup_held": state.host.cgroup_held,
            "pressure": dict(state.host.pressure),
            "cgroup_pressure": dict(state.host.cgroup_pressure),
            "footprint": state.host.footprint,
            "cards": dict(state.host.cards),
            "unread": dict(state.host.unread),
            "sampled": moment(state.host.sampled),
        },
        "probe": {
            "events": sum(p.events for p in state.processes.values()),
            "dropped": sum(p.dropped for p in state.processes.values()),
            "lost": sum(p.lost for p in state.processes.values()),
            "errors": [e for p in state.processes.values() for e in p.probe_errors],
            "refused_lines": state.refused_lines,
            "step_cost_s": _number(state.lead.step_cost_s if state.lead else None),
            "log_only": log_only(state),
        },
    }
    return {name: _finite(part) for name, part in document.items()}


def process_document(process: Process, now: float, over: bool) -> dict[str, Any]:
    phase = process.phase
    training = process.training
    moment_now = process.left if process.left is not None else now
    return {
        "pid": process.pid,
        "rank": process.rank,
        "local_rank": process.local_rank,
        "world_size": process.world_size,
        "role": process.role,
        "armed": process.armed,
        "alive": process.left is None and not over,
        "unseen": unseen(process, over),
        "phase": {
            "name": phase.name,
            "since": moment(phase.since),
            "age_s": _number(max(0.0, moment_now - phase.since)),
            "usual_s": _number(usual(process.phases.get(phase.name))),
            "detail": phase.detail,
            "tokens": phase.tokens,
            "bytes": phase.bytes,
            "rows": phase.rows,
            "total": phase.total,
            "total_by": phase.total_by or None,
            "per_s": _number(progress.per_s(phase, moment_now)),
            "left_s": _number(progress.left_s(phase, moment_now)),
        },
        "step": process.step,
        "max_steps": training.max_steps if training else None,
        "epoch": process.epoch,
        "tokens": process.steps.tokens,
        "steps": {
            "count": process.steps.count,
            "seconds": _number(process.steps.seconds),
            "skipped": process.steps.skipped,
        },
        "training": None
        if training is None
        else {
            "trainer": training.trainer,
            "length_by": training.length_by or None,
            "output_dir": training.output_dir,
            "batch_size": training.batch_size,
            "accumulation": training.accumulation,
            "optimizer": training.optimizer,
            "implementation": training.implementation,
            "can_save": training.can_save,
            "resumable": training.resumable,
            "save_total_limit": training.save_total_limit,
        },
        "resumed": resumed_document(training.resumed if training else None),
        "phases": phases_document(process.phases),
        "shares": {name: _number(v) for name, v in shares(process).items()},
        "device": device_document(process.device),
        "memory": memory_document(process),
        "trainable": trainable_document(process),
        "generations": [generation_document(g) for g in process.generations],
        "generated": generated_document(process.generated),
        "metrics": {name: _number(v) for name, v in process.metrics.items()},
        "not_finite": [n for n, v in process.metrics.items() if not math.isfinite(v)],
        "error": {
            "kind": process.error_kind,
            "message": process.error,
            "phase": process.error_phase,
            "traceback": process.traceback,
        }
        if process.error_kind
        else None,
    }


def trainable_document(process: Process) -> dict[str, Any] | None:
    """What is trained and its bill; LoRA's for the same model is always expected."""
    trainable = process.trainable
    if trainable is None:
        return None
    mine, other = bill(process), lora(trainable)
    return {
        "parameters": trainable.parameters,
        "total": trainable.total,
        "percent": trainable.percent,
        "model": trainable.model,
        "dtypes": dict(trainable.dtypes),
        "devices": dict(trainable.devices),
        "bill": {
            "weights": mine.weights,
            "gradients": mine.gradients,
            "optimizer": mine.optimizer,
            "total": mine.total,
            "measured": mine.measured,
        },
        "lora": None
        if other is None
        else {
            "rank": RANK,
            "layers": other.layers,
            "parameters": other.parameters,
            "percent": other.percent,
            "total": other.bytes,
        },
    }


def resumed_document(resumed: Resumed | None) -> dict[str, Any] | None:
    """What was found in the checkpoint; null for a run from the beginning."""
    if resumed is None:
        return None
    return {
        "path": resumed.path,
        "step": resumed.step,
        "optimizer": resumed.optimizer,
        "scheduler": resumed.scheduler,
        "random": resumed.random,
        "rate_before": _number(resumed.rate_before),
        "rate_step": resumed.rate_step,
        "rate_after": _number(resumed.rate_after),
        "skips": resumed.skips,
        "skipped": resumed.skipped,
        "skipped_s": _number(resumed.skipped_s),
    }


def next_document(state: RunState) -> dict[str, Any] | None:
    """What the next checkpoint takes of its disk; null where nothing tells it."""
    found = room.room(state)
    if found is None:
        return None
    return {
        "bytes": found.needs,
        "by": found.by,
        "disk_free": found.free,
        "fits": found.fits,
    }


def _path(checkpoint: Checkpoint | None) -> str | None:
    return None if checkpoint is None else checkpoint.path


def generation_document(generation: Generation) -> dict[str, Any]:
    return {
        "step": generation.step,
        "prompt_tokens": generation.prompt_tokens,
        "batch": generation.batch,
        "ttft_s": _number(generation.ttft_s),
        "second_token_s": _number(generation.second_token_s),
        "inter_token_s": _number(generation.inter_token_s),
        "inter_token_first_half_s": _number(generation.inter_token_first_half_s),
        "inter_token_second_half_s": _number(generation.inter_token_second_half_s),
        "tokens": generation.tokens,
        "tokens_per_s": _number(generation.tokens_per_s),
        "max_new_tokens": generation.max_new_tokens,
        "left_to_cap_s": _number(left_s(generation)),
        "hit_cap": generation.hit_cap,
        "rows": generation.rows,
        "rows_at_cap": generation.rows_at_cap,
        "use_cache": generation.use_cache,
        "seconds": _number(generation.seconds),
        "failed": generation.failed,
        "done": generation.done,
    }


def generated_document(generated: Generated) -> dict[str, Any]:
    """The sums over all generations that ended; a share of what is known."""
    return {
        "calls": generated.calls,
        "failed": generated.failed,
        "tokens": generated.tokens,
        "seconds": _number(generated.seconds),
        "calls_at_cap": generated.at_cap,
        "cap_share": _number(cap_share(generated)),
        "rows": generated.rows,
        "rows_at_cap": generated.rows_at_cap,
        "row_cap_share": _number(row_cap_share(generated)),
    }


def phases_document(phases: Mapping[str, PhaseStat]) -> dict[str, Any]:
    return {
        name: {
            "count": stat.count,
            "total_s": _number(stat.total_s),
            "last_s": _number(stat.last_s),
            "median_s": _number(
                statistics.median(stat.recent) if stat.recent else None
            ),
            "p95_s": _number(percentile(stat.recent, 0.95)),
            "clock": stat.clock,
        }
        for name, stat in phases.items()
    }


def device_document(device: DeviceTimes | None) -> dict[str, Any] | None:
    """Steps by the device's clock; null where only the host's is read."""
    if device is None:
        return None
    return {
        "kind": device.kind,
        "sampled": device.sampled,
        "steps": device.steps,
        "last_step": device.step,
        "phases": phases_document(device.phases),
    }


def memory_document(process: Process) -> dict[str, Any]:
    memory, ledger = process.memory, process.ledger
    to_show = forecast.shown(process)
    return {
        "device": memory.device,
        "allocated": memory.allocated,
        "reserved": memory.reserved,
        "peak": memory.peak,
        "peak_phase": memory.peak_phase or None,
        "rss": memory.rss,
        "limits": {
            "budget": memory.budget,
            "budget_by": memory.budget_by or None,
            "torch": memory.torch_limit,
            "physical": memory.physical,
            "lines": dict(memory.lines),
        },
        "ledger": {
            "weights_trainable": ledger.weights_trainable,
            "weights_frozen": ledger.weights_frozen,
            "gradients": ledger.gradients,
            "exp_avg": ledger.exp_avg,
            "exp_avg_sq": ledger.exp_avg_sq,
            "optimizer_other": ledger.optimizer_other,
            "activations_and_other": rest_of_peak(memory, ledger)
            if rest_is_activations(memory)
            else None,
        },
        "forecast": None if to_show is None else forecast_document(to_show),
        "forecasts": [forecast_document(f) for f in process.forecasts],
        "sampled": moment(memory.sampled),
    }


def forecast_document(told: Forecast) -> dict[str, Any]:
    """What a phase was said to need, and what came of it."""
    return {
        "phase": told.phase,
        "step": told.step,
        "needs": told.needs,
        "headroom": told.headroom,
        "limit": told.limit,
        "limit_by": told.limit_by or None,
        "fits": told.fits,
        "bound": told.bound,
        "verdict": forecast.fits(told),
        "method": told.method,
        "asked": told.asked,
        "state": told.state,
        "temporary": told.temporary,
        "gradients": told.gradients,
        "alternative": told.alternative or None,
        "alternative_needs": told.alternative_needs,
        "told": moment(told.told),
        "met": moment(told.met),
        "got": told.got,
        "got_at_most": told.at_most,
        "got_by": told.got_by or None,
        "state_got": told.state_got,
        "error_percent": _number(forecast.error(told)),
    }


def warnings_document(state: RunState) -> dict[str, Any]:
    items = review.ordered(state.warnings.values())
    return {
        "counts": review.counts(items),
        "new": sum(review.is_new(item) for item in items),
        "good_run": next((w.good_run for w in items if w.good_run), None),
        "items": [
            {
                "key": item.key,
                "rule": item.rule,
                "severity": item.severity,
                "was": item.was or None,
                "by": item.by or None,
                "new": item.new,
                "known": item.known,
                "kind": item.kind,
                "text": item.text,
                "why": item.why,
                "do": item.do,
                "count": item.count,
                "first_step": item.first_step,
                "last_step": item.last_step,
                "phase": item.phase or None,
                "ranks": list(item.ranks),
                "origin": item.origin,
                "logger": item.logger or None,
                "source": item.source,
                "evidence": item.evidence,
                "first_seen": moment(item.first_seen),
            }
            for item in items
        ],
    }


def review_document(state: RunState) -> dict[str, Any]:
    """The warnings of one run, as `trainwatch review --json` prints them."""
    return {"schema": SCHEMA, "run": state.run.id, **warnings_document(state)}


def moment(time: float | None) -> str | None:
    """RFC 3339 with milliseconds, in UTC; None for what no calendar can say."""
    if time is None or not 0 <= time <= ev.LATEST:
        return None
    when = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, 6)


def _finite(value: Any) -> Any:
    """`value` with None for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_finite(held) for held in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
