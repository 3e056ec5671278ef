"""
The state of one run, as `fold` builds it from events.

Frozen values, shared freely between threads. Times are wall clock seconds,
durations seconds, sizes bytes; None is "not measured". Dictionaries inside are
never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = ("starting", "running", "finished", "failed", "aborted", "killed", "lost")
SEVERITIES = (
    "serious",
    "attention",
    "cleanup",
    "unclassified",
    "harmless",
    "not_a_warning",
)


@dataclass(frozen=True)
class PhaseStat:
    """How often a phase ran and how long it took. Each run of it counts."""

    count: int = 0
    total_s: float = 0.0
    last_s: float | None = None
    recent: tuple[float, ...] = ()
    """Seconds of the last runs, oldest first, without the warm-up."""
    early: tuple[float, ...] = ()
    """The same of the first ones."""
    first: float | None = None
    """Seconds of the very first."""
    clock: str = "host"


@dataclass(frozen=True)
class Usual:
    """How long a phase took in an earlier run: median, median deviation, 95th
    percentile, and its very first time."""

    count: int = 0
    seconds: float = 0.0
    spread: float = 0.0
    slowest: float = 0.0
    first: float = 0.0


@dataclass(frozen=True)
class PhaseNow:
    """The phase a process was last seen in."""

    name: str = "start"
    since: float = 0.0
    seen: float = 0.0
    """When somebody last looked."""
    micro_step: int | None = None
    tokens: int | None = None
    bytes: int | None = None
    rows: int | None = None
    total: int | None = None
    detail: str = ""
    total_by: str = ""
    """What `total` is expected by, where it is not known."""
    marks: tuple[tuple[float, int], ...] = ()
    """When its counter was last seen to move, and to where; oldest first."""


@dataclass(frozen=True)
class StepStat:
    """Optimizer steps that this process has ended."""

    count: int = 0
    seconds: float = 0.0
    last_s: float | None = None
    last_ended: float | None = None
    last_phases: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Phase of the last step -> (times it ran, seconds)."""
    recent: tuple[float, ...] = ()
    tokens: int | None = None
    skipped: int = 0


@dataclass(frozen=True)
class DeviceTimes:
    """Sampled steps by the device's own clock."""

    kind: str = ""
    sampled: int = 0
    steps: int = 0
    """Steps of the process when the last one was sampled."""
    step: int = 0
    seconds: float = 0.0
    last_phases: Mapping[str, float] = field(default_factory=dict)
    """Phase of the last sampled step -> seconds."""
    phases: Mapping[str, PhaseStat] = field(default_factory=dict)
    """Phase, and `step` -> its durations over the sampled steps."""


@dataclass(frozen=True)
class Memory:
    device: str = "cpu"
    allocated: int | None = None
    reserved: int | None = None
    peak: int | None = None
    peak_phase: str = ""
    rss: int | None = None
    torch_limit: int | None = None
    physical: int | None = None
    sampled: float | None = None
    budget: int | None = None
    """The limit to plan with, and its name."""
    budget_by: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Every limit that is known, by name."""
    high_ratio: float | None = None
    low_ratio: float | None = None
    ratios_set: Mapping[str, str] = field(default_factory=dict)
    ratios_late: bool = False


@dataclass(frozen=True)
class Forecast:
    """What a phase was said to need of memory, and what came of it."""

    phase: str = ""
    step: int | None = None
    needs: int | None = None
    headroom: int | None = None
    limit: int | None = None
    limit_by: str = ""
    fits: bool | None = None
    bound: bool = False
    method: str = ""
    held: int | None = None
    device: str = ""
    asked: str = ""
    gradients: int | None = None
    state: int | None = None
    temporary: int | None = None
    optimizer: str = ""
    implementation: str = ""
    alternative: str = ""
    alternative_needs: int | None = None
    told: float = 0.0
    met: float | None = None
    """When it was compared."""
    got: int | None = None
    at_most: bool = False
    got_by: str = ""
    state_got: int | None = None


@dataclass(frozen=True)
class Level:
    """What counts against the limit, in `step`, `rows` into an evaluation."""

    step: int = 0
    rows: int | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Ledger:
    weights_trainable: int | None = None
    weights_frozen: int | None = None
    gradients: int | None = None
    exp_avg: int | None = None
    exp_avg_sq: int | None = None
    optimizer_other: int | None = None
    measured: float | None = None
    step: int | None = None


@dataclass(frozen=True)
class Trainable:
    model: str = ""
    parameters: int = 0
    total: int = 0
    dtypes: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    linear_width: int | None = None
    """Inputs plus outputs of the layers that LoRA would adapt."""
    linear_names: tuple[str, ...] = ()
    accelerator: str = ""
    """One that seems to be there, wherever the model lies."""

    @property
    def percent(self) -> float | None:
        return 100 * self.parameters / self.total if self.total else None


@dataclass(frozen=True)
class Resumed:
    """What a training found in the checkpoint that it goes on from."""

    path: str = ""
    step: int = 0
    optimizer: bool | None = None
    scheduler: bool | None = None
    random: bool | None = None
    rate_before: float | None = None
    rate_step: int | None = None
    rate_after: float | None = None
    skips: bool | None = None
    skipped: int | None = None
    """Batches; None before they are, or where there are none."""
    skipped_s: float | None = None
    at: float = 0.0


@dataclass(frozen=True)
class Training:
    trainer: str = ""
    max_steps: int | None = None
    length_by: str = ""
    """What `max_steps` rests on where the trainer did not tell it."""
    epochs: float | None = None
    output_dir: str | None = None
    batch_size: int | None = None
    accumulation: int | None = None
    save_total_limit: int | None = None
    can_save: bool = False
    resumable: bool = False
    workers: int | None = None
    """Processes that make its batches."""
    precision: str | None = None
    resumed: Resumed | None = None
    first_step: int = 0
    optimizer: str = ""
    implementation: str | None = None
    began: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class Generation:
    id: int = 0
    prompt_tokens: int | None = None
    max_new_tokens: int | None = None
    batch: int | None = None
    step: int | None = None
    ttft_s: float | None = None
    tokens: int = 0
    tokens_per_s: float | None = None
    second_token_s: float | None = None
    inter_token_s: float | None = None
    inter_token_first_half_s: float | None = None
    inter_token_second_half_s: float | None = None
    use_cache: bool | None = None
    hit_cap: bool | None = None
    rows: int | None = None
    rows_at_cap: int | None = None
    began: float = 0.0
    seen: float | None = None
    """When `tokens` was seen, while it runs."""
    seconds: float | None = None
    done: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Generated:
    """All calls of `generate` that a process has ended, summed."""

    calls: int = 0
    failed: int = 0
    tokens: int = 0
    """New tokens of each call's longest row."""
    seconds: float = 0.0
    capped: int = 0
    """Calls of which it is known whether they ended at the cap."""
    at_cap: int = 0
    rows: int = 0
    """Rows of which it is known."""
    rows_at_cap: int = 0


@dataclass(frozen=True)
class Process:
    pid: int = 0
    rank: int | None = None
    local_rank: int | None = None
    world_size: int | None = None
    role: str = "other"
    evidence: str = ""
    """What showed first that this process trains."""
    armed: bool = False
    argv: tuple[str, ...] = ()
    python: str = ""
    stack_signal: int | None = None
    stack_file: str | None = None
    flight: str | None = None
    joined: float = 0.0
    left: float | None = None
    left_reason: str = ""
    lost: int = 0
    """Events that it wanted to tell at last and that did not arrive."""
    phase: PhaseNow = PhaseNow()
    step: int | None = None
    training: Training | None = None
    phases: Mapping[str, PhaseStat] = field(default_factory=dict)
    steps: StepStat = StepStat()
    device: DeviceTimes | None = None
    memory: Memory = Memory()
    ledger: Ledger = Ledger()
    forecasts: tuple[Forecast, ...] = ()
    """The last ones, the newest last."""
    levels: tuple[Level, ...] = ()
    """What was held in training and evaluation, thinned, oldest first."""
    trainable: Trainable | None = None
    generations: tuple[Generation, ...] = ()
    generation_count: int = 0
    generated: Generated = Generated()
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_at: float | None = None
    recent: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    """Metric -> (step, value) of this training's logs, oldest first; older ones
    thinned, so that their number is bounded."""
    epoch: float | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    error_kind: str = ""
    error_phase: str = ""
    traceback: str = ""
    events: int = 0
    dropped: int = 0
    probe_errors: tuple[str, ...] = ()
    unseen: Mapping[str, str] = field(default_factory=dict)
    """What its probes said they cannot see -> why."""
    step_cost_s: float | None = None
    progressed: float | None = None
    """When this process last showed progress of any kind."""


@dataclass(frozen=True)
class TriagedWarning:
    """One family of warnings."""

    key: str = ""
    rule: str = ""
    severity: str = "unclassified"
    kind: str = ""
    text: str = ""
    why: str = ""
    do: str = ""
    count: int = 0
    first_step: int | None = None
    last_step: int | None = None
    phase: str = ""
    ranks: tuple[int, ...] = ()
    source: str = ""
    origin: str = ""
    evidence: str = ""
    first_seen: float = 0.0
    last_seen: float = 0.0
    was: str = ""
    """The severity before evidence or the user changed it."""
    by: str = ""
    """What changed it: `evidence` or `yours`."""
    new: bool | None = None
    """Not seen in an earlier good run of the same script; None: there is none."""
    good_run: str = ""
    logger: str = ""
    known: bool = False
    """The user marked it as known."""
    changed: float | None = None
    """When its severity last changed."""
    again: int = 0
    """How often it came since a step, or a call of `generate`, last ended well."""
    again_since: float = 0.0
    """When it was first seen after that."""


@dataclass(frozen=True)
class Finding:
    rule: str = ""
    severity: str = ""
    kind: str = ""
    summary: str = ""
    evidence: tuple[str, ...] = ()
    do: str = ""
    since: float = 0.0
    cleared: float | None = None
    ended: bool = False
    """It is why the run ended."""


@dataclass(frozen=True)
class Notice:
    """A person was called for something; never twice for the same key."""

    key: str = ""
    kind: str = ""
    title: str = ""
    text: str = ""
    also: tuple[str, ...] = ()
    given: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Checkpoint:
    path: str = ""
    step: int | None = None
    bytes: int | None = None
    complete: bool | None = None
    resumable: bool | None = None
    seconds: float | None = None
    detail: str = ""
    ours: bool = False
    seen: float = 0.0
    disk_free: int | None = None
    """Of its file system, when it was seen."""
    verified: bool = False
    """Every byte of it was read."""
    written: float | None = None
    """When it was last written to, as far as its files tell."""


@dataclass(frozen=True)
class Command:
    id: str = ""
    command: str = ""
    asked: float = 0.0
    outcome: str | None = None
    """None while it is under way."""
    detail: str = ""
    path: str = ""
    finished: float | None = None
    rung: str = ""
    """Of an abort."""
    saved: str = ""
    """The checkpoint that it has saved."""


@dataclass(frozen=True)
class Host:
    cpu: float | None = None
    cpu_host: float | None = None
    cores: int | None = None
    ram_total: int | None = None
    ram_available: int | None = None
    ram_limit: int | None = None
    tree_rss: int | None = None
    swap_used: int | None = None
    swap_in_per_s: float | None = None
    disk_free: int | None = None
    processes: int | None = None
    console_lost: int = 0
    cgroup_limit: int | None = None
    cgroup_held: int | None = None
    pressure: Mapping[str, float] = field(default_factory=dict)
    cgroup_pressure: Mapping[str, float] = field(default_factory=dict)
    footprint: int | None = None
    cards: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    sampled: float | None = None


@dataclass(frozen=True)
class Signals:
    """What the system last said about one process; see the event of that name."""

    of: int = 0
    parent: int = 0
    name: str = ""
    status: str = ""
    wait: str = ""
    call: str = ""
    target: str = ""
    left_s: float | None = None
    holder: int | None = None
    holder_name: str = ""
    threads: Mapping[str, int] = field(default_factory=dict)
    cpu: float | None = None
    cpu_main: float | None = None
    queued: float | None = None
    switches: float | None = None
    major_faults: float | None = None
    read: float | None = None
    write: float | None = None
    writing: str = ""
    writing_per_s: float | None = None
    idle_since: float | None = None
    children: tuple[int, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)
    device: str = ""
    ended: int = 0
    prompt: str = ""
    printed: float | None = None
    beat: float | None = None
    stalled: float | None = None
    seen: float = 0.0
    since: float = 0.0
    """When it was first seen in this wait."""


@dataclass(frozen=True)
class RunFacts:
    id: str = ""
    name: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    status: str = "starting"
    exit_code: int | None = None
    signal: int | None = None
    started: float | None = None
    ended: float | None = None
    detail: str = ""
    probes: bool = True
    adopted: bool = False
    child: int | None = None
    supervisor: int | None = None
    keeper: int | None = None


@dataclass(frozen=True)
class RunState:
    run: RunFacts = RunFacts()
    processes: Mapping[int, Process] = field(default_factory=dict)
    warnings: Mapping[str, TriagedWarning] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    findings: Mapping[str, Finding] = field(default_factory=dict)
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    host: Host = Host()
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """Phase -> how long it took in the last run of this script and model."""
    usual_run: str = ""
    """That run."""
    signals: Mapping[int, Signals] = field(default_factory=dict)
    """Process -> what the system said about it, while it showed no progress."""
    series: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    """Metric -> (step, value), thinned to a bounded number of points."""
    heard: Mapping[int, int] = field(default_factory=dict)
    """Process -> the number of the last event that it told itself."""
    events: int = 0
    unknown_events: int = 0
    last_event: float | None = None
    takeovers: int = 0
    refused_lines: int = 0

    @property
    def over(self) -> bool:
        return self.run.status not in ("starting", "running")

    @property
    def ranks(self) -> tuple[Process, ...]:
        """The training processes, lowest rank first."""
        found = [p for p in self.processes.values() if p.role == "rank"]
        return tuple(sorted(found, key=lambda p: (p.rank or 0, p.joined)))

    @property
    def lead(self) -> Process | None:
        """The process to show when only one fits: rank 0, else the first seen."""
        ranks = self.ranks
        if ranks:
            return max(
                (p for p in ranks if (p.rank or 0) == (ranks[0].rank or 0)),
                key=lambda p: p.joined,
            )
        candidates = [p for p in self.processes.values() if p.role == "other"]
        return min(candidates, key=lambda p: p.joined, default=None)


EMPTY = RunState()
