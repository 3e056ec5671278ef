"""
The event schema: one frozen dataclass per event.

Events are JSON lines. A process writes them to the event socket, the
supervisor appends them to ``events.jsonl`` and adds its own. Every reader
(live view, replay, report, tests) decodes the same lines with `decode`.

The envelope is ``v seq time mono rank pid type``; all other keys are the fields
of the event's dataclass. Changes only add: a reader skips types and fields it
does not know, and a field that is missing takes its default.

Times are seconds. ``time`` is the wall clock (Unix), ``mono`` the monotonic
clock, which all processes of one machine share. Sizes are bytes. ``None`` means
"not measured" and is never the same as zero.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, List, Optional, Type, Union

from .wire import MAX_LINE_BYTES as MAX_LINE_BYTES
from .wire import SCHEMA_VERSION as SCHEMA_VERSION
from .wire import encode_line

PHASES = (
    "start",
    "import",
    "load",
    "data",
    "step",
    "evaluate",
    "save",
    "generate",
    "log",
    "end",
    "fetch",
    "forward",
    "loss",
    "backward",
    "clip",
    "optimizer",
    "prefill",
    "decode",
    "download",
    "compile",
    "skip",
    "upload",
    "wait",
    "other",
    "reference",
    "custom",
)
"""Every phase by name. The position is its number in a flight record, so new
phases are appended."""

STEP_PHASES = (
    "fetch",
    "forward",
    "loss",
    "backward",
    "clip",
    "optimizer",
    "reference",
    "other",
)
"""The phases that make up a step; a user's own come in by their names."""


class MalformedEvent(ValueError):
    """A line that is not an event of this schema."""


# --- what a training process says about itself ------------------------------


@dataclass(frozen=True)
class ProcessJoined:
    """A process connected. `stack_signal` is set once it handles that signal."""

    argv: List[str] = field(default_factory=list)
    executable: str = ""
    python: str = ""
    role: str = "other"
    """`launcher`, `rank`, `worker` or `other`; `other` becomes `rank` with the
    first evidence of training."""
    parent: int = 0
    local_rank: Optional[int] = None
    world_size: Optional[int] = None
    stack_signal: Optional[int] = None
    stack_file: Optional[str] = None
    flight: Optional[str] = None
    probe_version: str = ""


@dataclass(frozen=True)
class RankIdentified:
    """First evidence of training in this process."""

    evidence: str = ""
    local_rank: Optional[int] = None
    world_size: Optional[int] = None


@dataclass(frozen=True)
class LibraryImported:
    name: str = ""
    version: Optional[str] = None
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainingBegan:
    """A trainer (or a plain loop, `trainer` = "plain loop") starts stepping."""

    trainer: str = ""
    step: int = 0
    max_steps: Optional[int] = None
    epochs: Optional[float] = None
    output_dir: Optional[str] = None
    batch_size: Optional[int] = None
    accumulation: Optional[int] = None
    save_total_limit: Optional[int] = None
    """How many checkpoints it keeps."""
    can_save: bool = False
    """A snapshot can write a checkpoint at a step boundary."""
    resumable: bool = False
    """That checkpoint is one the trainer itself can resume from."""
    workers: Optional[int] = None
    """Processes that make its batches, as the trainer was told."""
    precision: Optional[str] = None
    """`bf16`, `fp16` or `fp32`: in which it computes, as the trainer was told."""


@dataclass(frozen=True)
class LengthGuessed:
    """A loop that does not tell its length, by the evidence named; None takes it
    back."""

    max_steps: Optional[int] = None
    evidence: str = ""


@dataclass(frozen=True)
class TrainingResumed:
    """A trainer goes on from a checkpoint: what it found there."""

    path: str = ""
    step: int = 0
    optimizer: Optional[bool] = None
    """None: the folder could not be read."""
    scheduler: Optional[bool] = None
    random: Optional[bool] = None
    rate_before: Optional[float] = None
    """The learning rate that was logged last before it."""
    rate_step: Optional[int] = None
    """The step at which that was."""
    rate_after: Optional[float] = None
    """The learning rate that it goes on with."""
    skips: Optional[bool] = None
    """False where the batches seen before are not skipped (`ignore_data_skip`)."""


@dataclass(frozen=True)
class TrainingEnded:
    step: int = 0
    stopped: bool = False
    """True when we asked for the stop."""


@dataclass(frozen=True)
class ModelDescribed:
    """Parameters counted as PEFT's `print_trainable_parameters` counts them."""

    model: str = ""
    parameters: int = 0
    trainable: int = 0
    weights_trainable: Optional[int] = None
    weights_frozen: Optional[int] = None
    dtypes: Dict[str, int] = field(default_factory=dict)
    """Parameters by dtype."""
    devices: Dict[str, int] = field(default_factory=dict)
    """Parameters by device."""
    linear_width: Optional[int] = None
    """Inputs plus outputs of the linear layers that LoRA would adapt, summed: LoRA of
    rank r has r times so many parameters."""
    linear_names: List[str] = field(default_factory=list)
    """What these layers are called."""
    accelerator: str = ""
    """`cuda` or `mps` where one seems to be there, wherever the model lies."""


@dataclass(frozen=True)
class OptimizerDescribed:
    optimizer: str = ""
    implementation: Optional[str] = None
    """`fused`, `foreach` or `for-loop` where the optimizer says so."""
    learning_rate: Optional[float] = None


@dataclass(frozen=True)
class StepEnded:
    """One optimizer step, or `count` of them where steps are very fast."""

    step: int = 0
    count: int = 1
    micro_steps: int = 1
    seconds: float = 0.0
    """Wall time of the step, without what ran between steps."""
    phases: Dict[str, List[float]] = field(default_factory=dict)
    """Phase -> [times it ran, seconds], exclusive of nested phases. What no
    phase claims is `other`, so the seconds add up to `seconds`."""
    tokens: Optional[int] = None
    skipped: bool = False
    clock: str = "host"


@dataclass(frozen=True)
class DeviceTimed:
    """One step by the device's own clock. Only some steps are sampled."""

    step: int = 0
    seconds: float = 0.0
    """What the phases of the step add up to."""
    phases: Dict[str, float] = field(default_factory=dict)
    """Phase -> seconds between its borders on the device, waiting included."""
    sampled: int = 0
    """Steps of this process that were sampled so far, this one among them."""
    steps: int = 0
    """Steps of this process so far."""
    kind: str = ""
    """What was read, on which device: "cuda events on cuda:0"."""


@dataclass(frozen=True)
class PhaseEnded:
    """One phase outside the steps."""

    phase: str = ""
    seconds: float = 0.0
    began: float = 0.0
    """Monotonic clock."""
    step: Optional[int] = None
    detail: str = ""
    bytes: Optional[int] = None
    rows: Optional[int] = None
    failed: bool = False
    count: int = 1
    """More than one where short phases of a user's own were summed."""


@dataclass(frozen=True)
class MetricsLogged:
    step: int = 0
    epoch: Optional[float] = None
    values: Dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GenerationBegan:
    """A call of `generate`, told when its settings are settled."""

    id: int = 0
    prompt_tokens: Optional[int] = None
    """Length of the prompt, padding included; of the encoder's where there is
    one."""
    max_new_tokens: Optional[int] = None
    """The cap: new tokens of a row at most."""
    batch: Optional[int] = None
    """Rows of the prompt."""
    step: Optional[int] = None
    began: Optional[float] = None
    """Monotonic clock, when it was called."""


@dataclass(frozen=True)
class GenerationAdvanced:
    """How far a generation is that takes long. The fields are those of
    `GenerationEnded`, so far."""

    id: int = 0
    tokens: int = 0
    max_new_tokens: Optional[int] = None
    ttft_s: Optional[float] = None
    second_token_s: Optional[float] = None
    inter_token_s: Optional[float] = None
    inter_token_first_half_s: Optional[float] = None
    inter_token_second_half_s: Optional[float] = None
    use_cache: Optional[bool] = None


@dataclass(frozen=True)
class GenerationEnded:
    id: int = 0
    ttft_s: Optional[float] = None
    """From the call to the first token, which the loop has chosen by then."""
    tokens: int = 0
    """New tokens of the longest row. Rows that ended before are filled up to it,
    so rows times tokens is more than was generated."""
    seconds: float = 0.0
    tokens_per_s: Optional[float] = None
    """Decode rate: tokens after the first over the time after the first, of one
    row."""
    second_token_s: Optional[float] = None
    """Time between the first and the second token; with assisted decoding to the
    next ones."""
    hit_cap: Optional[bool] = None
    """Some row ended at the cap and not by itself. Where that would ask a device,
    the longest row came to the cap."""
    failed: bool = False
    max_new_tokens: Optional[int] = None
    inter_token_s: Optional[float] = None
    """Median time from token to token."""
    inter_token_first_half_s: Optional[float] = None
    inter_token_second_half_s: Optional[float] = None
    """The same of the first and of the second half of the tokens."""
    use_cache: Optional[bool] = None
    """The first forward kept a key-value cache (or another state) for the next."""
    rows: Optional[int] = None
    """Rows of the result."""
    rows_at_cap: Optional[int] = None
    """Rows that ended at the cap and not by themselves; None where a device would
    have to be asked."""


@dataclass(frozen=True)
class MemorySampled:
    """Bytes held by this process on its training device, or in RAM on a CPU."""

    device: str = "cpu"
    allocated: Optional[int] = None
    reserved: Optional[int] = None
    """By the allocator or the driver; on a CPU under RLIMIT_AS the address space."""
    peak: Optional[int] = None
    rss: Optional[int] = None
    torch_limit: Optional[int] = None
    physical: Optional[int] = None
    phase: str = ""
    budget: Optional[int] = None
    """The limit to plan with, the smallest of `lines`."""
    budget_by: str = ""
    lines: Dict[str, int] = field(default_factory=dict)
    """Every limit that is known, by name."""
    high_ratio: Optional[float] = None
    """MPS: of the recommended working set, where torch stops; 0 is no limit."""
    low_ratio: Optional[float] = None
    ratios_set: Dict[str, str] = field(default_factory=dict)
    """Variables that set these ratios, as they were when torch was imported."""
    ratios_late: bool = False
    """They were changed after torch was imported."""


@dataclass(frozen=True)
class LedgerMeasured:
    """Where the bytes are, from the live tensors, shared storages once."""

    step: int = 0
    weights_trainable: int = 0
    weights_frozen: int = 0
    gradients: Optional[int] = None
    exp_avg: Optional[int] = None
    exp_avg_sq: Optional[int] = None
    optimizer_other: Optional[int] = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """
    What a phase that is to come will need of memory. Told before it runs, and
    waited for: the process may be dead a moment later.
    """

    phase: str = ""
    """`optimizer` or `backward`."""
    step: Optional[int] = None
    """The step that it is about, counted from 1."""
    needs: Optional[int] = None
    """The most bytes that it will hold on top of `held`; None: cannot tell."""
    headroom: Optional[int] = None
    """Bytes that are left under `limit`; None: no limit is known."""
    limit: Optional[int] = None
    limit_by: str = ""
    """Which limit is met first: `RLIMIT_AS`, `cgroup`, `RAM`, `card`, ..."""
    fits: Optional[bool] = None
    """None: cannot tell."""
    bound: bool = False
    """It needs no more than that, and maybe far less."""
    method: str = ""
    """How `needs` was found, or why it cannot be told."""
    held: Optional[int] = None
    """Bytes that count against `limit` when this is told."""
    device: str = ""
    asked: str = ""
    """`train begin`, `optimizer` (just before its call) or `step end`."""
    gradients: Optional[int] = None
    """Of `needs`: gradients that do not exist yet."""
    state: Optional[int] = None
    """Of `needs`: optimizer state, which stays."""
    temporary: Optional[int] = None
    """Of `needs`: what lives only inside the call."""
    optimizer: str = ""
    implementation: str = ""
    alternative: str = ""
    """A setting of the same optimizer that would fit, `fused=True`; "": none."""
    alternative_needs: Optional[int] = None


@dataclass(frozen=True)
class ForecastMet:
    """What came of a forecast of the same `phase` and `step`."""

    phase: str = ""
    step: Optional[int] = None
    needs: Optional[int] = None
    """What was forecast."""
    got: Optional[int] = None
    """What it took."""
    at_most: bool = False
    """`got` is a bound: the peak of the process did not rise."""
    by: str = ""
    """What `got` was measured by."""
    state: Optional[int] = None
    """Optimizer state that was forecast."""
    state_got: Optional[int] = None
    """Optimizer state of the live tensors."""


@dataclass(frozen=True)
class WarningRaised:
    """A warning where it was born: `source` is `warnings`, `logging`,
    `console`."""

    source: str = ""
    text: str = ""
    category: str = ""
    logger: str = ""
    level: str = ""
    file: str = ""
    line: int = 0
    phase: str = ""
    step: Optional[int] = None
    count: int = 1


@dataclass(frozen=True)
class ExceptionRaised:
    kind: str = ""
    message: str = ""
    traceback: str = ""
    phase: str = ""
    step: Optional[int] = None


@dataclass(frozen=True)
class CheckpointSaved:
    path: str = ""
    step: Optional[int] = None
    seconds: Optional[float] = None
    bytes: Optional[int] = None
    ours: bool = False


@dataclass(frozen=True)
class RequestFinished:
    """The training process's answer to a save or stop request."""

    id: str = ""
    outcome: str = ""
    """`done`, `refused` or `failed`."""
    detail: str = ""
    path: str = ""
    step: Optional[int] = None


@dataclass(frozen=True)
class ProbeFailed:
    """A probe met an error and switched itself off; training is not touched."""

    probe: str = ""
    error: str = ""


@dataclass(frozen=True)
class PartUnseen:
    """Something that happens in this process where no probe can look."""

    what: str = ""
    why: str = ""


@dataclass(frozen=True)
class ProbeCounted:
    """The probes' own cost so far."""

    events: int = 0
    dropped: int = 0
    errors: int = 0
    step_cost_s: Optional[float] = None
    """Mean seconds our hooks added to a step, measured by their own clock. What they
    take from the caches of the code after them is not in it."""


@dataclass(frozen=True)
class ProcessLeft:
    reason: str = ""
    """`exit` when it said goodbye, `hang-up` when the connection closed."""
    lost: Optional[int] = None
    """Events that it wanted to tell at last and that did not arrive, by its flight
    record; None where it said goodbye, or has no record."""


# --- what the supervisor says -----------------------------------------------


@dataclass(frozen=True)
class RunStarted:
    id: str = ""
    name: str = ""
    argv: List[str] = field(default_factory=list)
    cwd: str = ""
    probes: bool = True
    terminal: bool = True
    adopted: bool = False
    """It was started without us."""


@dataclass(frozen=True)
class ChildSpawned:
    child: int = 0


@dataclass(frozen=True)
class SupervisorStarted:
    supervisor: int = 0
    keeper: int = 0
    takeover: bool = False
    detail: str = ""


@dataclass(frozen=True)
class PhaseObserved:
    """What the flight record of process `of` showed, once it was worth seeing."""

    of: int = 0
    phase: str = ""
    since: float = 0.0
    """Wall clock."""
    step: Optional[int] = None
    micro_step: Optional[int] = None
    tokens: Optional[int] = None
    bytes: Optional[int] = None
    rows: Optional[int] = None
    total: Optional[int] = None
    detail: str = ""
    total_by: str = ""
    """What `total` is expected by, where it is not known."""


@dataclass(frozen=True)
class HostSampled:
    cpu: Optional[float] = None
    """Percent of one core, the child's whole tree."""
    cpu_host: Optional[float] = None
    """Percent of the whole machine."""
    cores: Optional[int] = None
    ram_total: Optional[int] = None
    ram_available: Optional[int] = None
    ram_limit: Optional[int] = None
    """The smallest of RAM and every cgroup limit above the run."""
    tree_rss: Optional[int] = None
    swap_used: Optional[int] = None
    swap_in_per_s: Optional[float] = None
    disk_free: Optional[int] = None
    processes: Optional[int] = None
    console_lost: int = 0
    cgroup_limit: Optional[int] = None
    """Of the group above the run whose limit is the smallest."""
    cgroup_held: Optional[int] = None
    """By that group, without files that can be read again."""
    pressure: Dict[str, float] = field(default_factory=dict)
    """Percent of the last 10 s in which `some` or all (`full`) that could run waited
    for memory, on this host."""
    cgroup_pressure: Dict[str, float] = field(default_factory=dict)
    footprint: Optional[int] = None
    """macOS: what the system holds against the run's processes, Metal's too."""
    cards: Dict[str, int] = field(default_factory=dict)
    """NVIDIA: bytes `0 used` and `0 total`, by all processes."""
    unread: Dict[str, str] = field(default_factory=dict)
    """What this machine does not tell, and why."""


@dataclass(frozen=True)
class UsualRecalled:
    """How long things took in the last run of the same script on this machine."""

    run: str = ""
    model: str = ""
    phases: Dict[str, List[float]] = field(default_factory=dict)
    """Phase -> [times it ran, median seconds, median deviation, 95th percentile,
    seconds of its very first time]."""


@dataclass(frozen=True)
class SignalsSampled:
    """
    What the system says about process `of`, told while it shows no progress and when
    that changed. Rates are over some seconds; CPU is percent of one core. What cannot
    be read on this system is None or "".
    """

    of: int = 0
    parent: int = 0
    name: str = ""
    status: str = ""
    """The kernel's letter: R running, S asleep, D in the disk, T stopped, Z dead."""
    wait: str = ""
    """What the main thread waits for, a word of `runner/signals/waits.py`."""
    call: str = ""
    """The system call that it is in."""
    target: str = ""
    """What the call is on: a path, a terminal, a pipe, a socket."""
    left_s: Optional[float] = None
    """Of a sleep, at most."""
    holder: Optional[int] = None
    """Who holds the lock that it waits for, or is at the other end of its pipe."""
    holder_name: str = ""
    threads: Dict[str, int] = field(default_factory=dict)
    """What its other threads wait for -> how many."""
    cpu: Optional[float] = None
    cpu_main: Optional[float] = None
    queued: Optional[float] = None
    """Percent of the time that the main thread was ready and had no processor."""
    switches: Optional[float] = None
    """Times a second that the main thread gave up the processor by itself."""
    major_faults: Optional[float] = None
    read: Optional[float] = None
    write: Optional[float] = None
    """Bytes a second through read and write calls."""
    writing: str = ""
    """A file that grows under its hands."""
    writing_per_s: Optional[float] = None
    idle_since: Optional[float] = None
    """Wall clock since which neither it nor a process below it computes or moves
    bytes; None while one does."""
    children: List[int] = field(default_factory=list)
    """The processes below it."""
    names: Dict[str, int] = field(default_factory=dict)
    """Their names -> how many."""
    device: str = ""
    """An accelerator that it has open."""
    ended: int = 0
    """Processes below it that ended since it last showed progress."""
    prompt: str = ""
    """The line without an end that the terminal shows, where it waits for the
    keyboard."""
    printed: Optional[float] = None
    """Wall clock of the last output of the run."""
    beat: Optional[float] = None
    """Wall clock when the interpreter last ran our thread."""
    stalled: Optional[float] = None
    """Percent of the last ten seconds in which all of the machine waited for
    memory."""


@dataclass(frozen=True)
class CheckpointSeen:
    """A checkpoint folder on the disk, as the watcher found it."""

    path: str = ""
    step: Optional[int] = None
    bytes: int = 0
    complete: Optional[bool] = None
    resumable: Optional[bool] = None
    detail: str = ""
    disk_free: Optional[int] = None
    """Of the file system that it lies on, at that moment."""
    verified: bool = False
    """Every byte of it was read, and checksums fit."""
    written: Optional[float] = None
    """When its newest file was changed (wall clock)."""


@dataclass(frozen=True)
class WarningTriaged:
    """One family of warnings; `count` is the total so far, so the newest wins."""

    key: str = ""
    rule: str = ""
    severity: str = "unclassified"
    kind: str = ""
    text: str = ""
    why: str = ""
    do: str = ""
    count: int = 1
    first_step: Optional[int] = None
    last_step: Optional[int] = None
    phase: str = ""
    ranks: List[int] = field(default_factory=list)
    source: str = ""
    origin: str = ""
    """file:line, logger or category."""
    first_seen: float = 0.0
    evidence: str = ""
    was: str = ""
    """The severity before evidence, or the user's own rule, changed it."""
    by: str = ""
    """What changed it: `evidence` or `yours`."""
    new: Optional[bool] = None
    """Not seen in an earlier good run of the same script; None: there is none."""
    good_run: str = ""
    """The id of the last good run."""
    logger: str = ""


@dataclass(frozen=True)
class FindingRaised:
    rule: str = ""
    severity: str = ""
    kind: str = ""
    summary: str = ""
    evidence: List[str] = field(default_factory=list)
    do: str = ""
    ended: bool = False
    """It is why the run ended."""


@dataclass(frozen=True)
class FindingCleared:
    rule: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CommandAsked:
    id: str = ""
    command: str = ""
    detail: str = ""


@dataclass(frozen=True)
class CommandProgressed:
    id: str = ""
    detail: str = ""
    rung: str = ""
    """Of an abort: `step`, `now`, `tree` or `kill`."""
    saved: str = ""
    """The checkpoint that it has saved so far."""


@dataclass(frozen=True)
class CommandFinished:
    id: str = ""
    command: str = ""
    outcome: str = ""
    """`done`, `refused`, `failed` or `unknown`."""
    detail: str = ""
    path: str = ""


@dataclass(frozen=True)
class LinesRefused:
    """Lines on the event socket that were not events; totals so far."""

    malformed: int = 0
    oversized: int = 0
    foreign: int = 0
    """Events that only the supervisor may write."""
    last: str = ""


@dataclass(frozen=True)
class RunRenamed:
    name: str = ""


@dataclass(frozen=True)
class NoticeGiven:
    """A person was called. The same key again tells what became of the command."""

    key: str = ""
    kind: str = ""
    """`end`, `death`, `stuck`, `failing`, `waiting` or `serious`."""
    title: str = ""
    text: str = ""
    also: List[str] = field(default_factory=list)
    """Keys of what this notice tells besides."""
    error: str = ""
    """Why the user's own command was not told."""


@dataclass(frozen=True)
class RunEnded:
    status: str = ""
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    detail: str = ""


ProbeBody = Union[
    ProcessJoined,
    RankIdentified,
    LibraryImported,
    TrainingBegan,
    LengthGuessed,
    TrainingResumed,
    TrainingEnded,
    ModelDescribed,
    OptimizerDescribed,
    StepEnded,
    DeviceTimed,
    PhaseEnded,
    MetricsLogged,
    GenerationBegan,
    GenerationAdvanced,
    GenerationEnded,
    MemorySampled,
    LedgerMeasured,
    Forecast,
    ForecastMet,
    WarningRaised,
    ExceptionRaised,
    CheckpointSaved,
    RequestFinished,
    ProbeFailed,
    PartUnseen,
    ProbeCounted,
    ProcessLeft,
]
"""What a training process may say; everything else only the supervisor."""

Body = Union[
    ProbeBody,
    RunStarted,
    ChildSpawned,
    SupervisorStarted,
    PhaseObserved,
    HostSampled,
    UsualRecalled,
    SignalsSampled,
    CheckpointSeen,
    WarningTriaged,
    FindingRaised,
    FindingCleared,
    CommandAsked,
    CommandProgressed,
    CommandFinished,
    LinesRefused,
    RunRenamed,
    NoticeGiven,
    RunEnded,
]


def type_name(body: Type[Any]) -> str:
    """`StepEnded` -> "step_ended"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", body.__name__).lower()


TYPES: Dict[str, Type[Any]] = {type_name(cls): cls for cls in Body.__args__}  # type: ignore[attr-defined]
_NAMES = {cls: name for name, cls in TYPES.items()}

PROBE_TYPES = frozenset(_NAMES[cls] for cls in ProbeBody.__args__)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Event:
    """An envelope and its body. `body` is None for a type of a later schema."""

    type: str
    time: float
    mono: float = 0.0
    pid: int = 0
    rank: Optional[int] = None
    seq: int = 0
    v: int = SCHEMA_VERSION
    body: Optional[Body] = None


def encode(event: Event) -> str:
    """
    One JSON line without the newline.

    A float that JSON cannot hold becomes the string "nan", "inf" or "-inf".

    Raises:
        TypeError, ValueError: the body holds something that is not JSON.
    """
    return encode_line(
        event.type,
        {} if event.body is None else vars(event.body),
        time=event.time,
        mono=event.mono,
        pid=event.pid,
        rank=event.rank,
        seq=event.seq,
        v=event.v,
    )


def of(
    body: Body,
    *,
    time: float,
    mono: float = 0.0,
    pid: int = 0,
    rank: Optional[int] = None,
    seq: int = 0,
) -> Event:
    """The event that carries `body`."""
    return Event(_NAMES[type(body)], time, mono, pid, rank, seq, SCHEMA_VERSION, body)


def decode(line: Union[str, bytes]) -> Event:
    """
    The event on one line.

    Raises:
        MalformedEvent: not JSON, not an event, too long, or a field of the
            wrong type. Unknown types and fields are not an error.
    """
    if len(line) > MAX_LINE_BYTES:
        raise MalformedEvent("line of %d bytes" % len(line))
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(str(error)) from None
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise MalformedEvent("not an event")
    envelope: Dict[str, Any] = {
        "v": _integer(data.get("v", SCHEMA_VERSION)),
        "seq": _integer(data.get("seq", 0)),
        "time": _moment(data.get("time")),
        "mono": _moment(data.get("mono", 0.0)),
        "rank": None if data.get("rank") is None else _integer(data["rank"]),
        "pid": _integer(data.get("pid", 0)),
    }
    cls = TYPES.get(data["type"])
    body = None
    if cls is not None:
        body = cls(
            **{
                name: check(data[name])
                for name, check in _CHECKS[cls].items()
                if name in data
            }
        )
    return Event(data["type"], body=body, **envelope)


_NAMED_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _integer(value: Any) -> int:
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return value
    raise MalformedEvent("%.40r is not an integer" % (value,))


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return float(value)
    if isinstance(value, str) and value in _NAMED_FLOATS:
        return _NAMED_FLOATS[value]
    raise MalformedEvent("%.40r is not a number" % (value,))


LATEST = 1 << 35
"""Seconds; the year 3058. No clock is later, and not every calendar can say more."""


def _moment(value: Any) -> float:
    time = _number(value)
    if 0 <= time <= LATEST:
        return time
    raise MalformedEvent("%.40r is not a time" % (value,))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise MalformedEvent("%.40r is not a text" % (value,))


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise MalformedEvent("%.40r is not true or false" % (value,))


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _list(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(value: Any) -> List[Any]:
        if not isinstance(value, list):
            raise MalformedEvent("%.40r is not a list" % (value,))
        return [check(item) for item in value]

    return checked


def _dict(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(value: Any) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise MalformedEvent("%.40r is not an object" % (value,))
        return {key: check(item) for key, item in value.items()}

    return checked


_KINDS: Dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "float": _number,
    "str": _text,
    "bool": _flag,
    "Optional[int]": _optional(_integer),
    "Optional[float]": _optional(_number),
    "Optional[str]": _optional(_text),
    "Optional[bool]": _optional(_flag),
    "List[str]": _list(_text),
    "List[int]": _list(_integer),
    "Dict[str, int]": _dict(_integer),
    "Dict[str, str]": _dict(_text),
    "Dict[str, float]": _dict(_number),
    "Dict[str, List[float]]": _dict(_list(_number)),
}
_CHECKS = {
    cls: {f.name: _KINDS[str(f.type)] for f in fields(cls)} for cls in TYPES.values()
}
