"""Runs to look at, built from events by the real fold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainwatch.probes import events as ev
from trainwatch.runner.fold import fold_all
from trainwatch.runner.memory_death import memory_death
from trainwatch.runner.oom_kills import Rise
from trainwatch.runner.outcome import Outcome
from trainwatch.runner.state import RunState
from trainwatch.runner.summary import RunSummary
from trainwatch.runner.triage.marks import Mark, apply
from trainwatch.runner.verdict import judge
from trainwatch.runner.view import RunView

T0 = 1_780_000_000.0
GB = 10**9
PID = 4242
NAME = "sft-docstrings"
ARGV = ["python", "train.py", "--model", "Qwen3-8B", "--lr", "2e-4"]
FOLDER = Path("/runs/20260528-sft")


@dataclass
class Log:
    """Events of a run, written as time goes on."""

    now: float = T0
    events: list[ev.Event] = field(default_factory=list)

    def say(self, body: ev.Body, pid: int = PID, rank: int | None = None) -> Log:
        self.events.append(
            ev.of(body, time=self.now, pid=pid, rank=rank, seq=len(self.events))
        )
        return self

    def wait(self, seconds: float) -> Log:
        self.now += seconds
        return self

    def view(
        self, console: Iterable[str] = (), age: float = 0.0, supervised: bool = True
    ) -> RunView:
        """The run `age` seconds after its last event."""
        now = self.now + age
        state = fold_all(self.events)
        lines = tuple(console)
        return RunView(
            state=state,
            verdict=judge(state, now),
            console=lines,
            console_lines=len(lines),
            now=now,
            supervised=supervised,
        )


def started() -> Log:
    """The command runs, nothing else is known."""
    log = Log()
    log.say(
        ev.RunStarted(id="20260528-sft", name=NAME, argv=ARGV, cwd="/home/ada/docs")
    )
    log.wait(0.2).say(ev.SupervisorStarted(supervisor=4000, keeper=3999))
    return log.wait(0.1).say(ev.ChildSpawned(child=PID))


def loaded(
    log: Log, pid: int = PID, rank: int | None = None, world: int | None = None
) -> Log:
    """From the first instruction to the first step."""
    log.say(
        ev.ProcessJoined(argv=ARGV, role="rank", local_rank=rank, world_size=world),
        pid,
        rank,
    )
    log.wait(6.1).say(ev.LibraryImported("torch", "2.13.0", 6.1), pid, rank)
    log.wait(3.0).say(ev.LibraryImported("trl", "1.16.0", 3.0), pid, rank)
    log.wait(4.0).say(ev.PhaseEnded("data", 4.0), pid, rank)
    log.wait(11.1).say(ev.PhaseEnded("load", 11.1), pid, rank)
    log.say(
        ev.ModelDescribed(
            "Qwen3ForCausalLM",
            8_190_735_360,
            43_646_976,
            87_293_952,
            16_381_470_720,
            {"torch.bfloat16": 8_190_735_360},
            {"mps:0": 8_190_735_360},
            958_464,
            ["k_proj", "o_proj", "q_proj", "v_proj"],
        ),
        pid,
        rank,
    )
    log.say(
        ev.TrainingBegan("SFTTrainer", 0, 500, 3.0, "out", 1, 2, True, True), pid, rank
    )
    return log.say(ev.OptimizerDescribed("AdamW", "fused", 2e-4), pid, rank)


def step(
    log: Log, number: int, pid: int = PID, rank: int | None = None, slower: float = 0.0
) -> Log:
    """One optimizer step of two micro-steps, 4.4 s."""
    wobble = 0.04 * ((number * 7) % 5 - 2)
    seconds = 4.37 + wobble + slower
    log.wait(seconds).say(
        ev.StepEnded(
            step=number,
            micro_steps=2,
            seconds=seconds,
            phases={
                "fetch": [2, 0.012],
                "forward": [2, 1.58 + wobble / 2],
                "loss": [2, 0.11],
                "backward": [2, 2.27 + wobble / 2 + slower],
                "clip": [1, 0.02],
                "optimizer": [1, 0.29],
                "other": [1, 0.088],
            },
            tokens=1024,
        ),
        pid,
        rank,
    )
    if number % 5 == 0:
        decay = 1.7 * 0.985**number
        log.say(
            ev.MetricsLogged(
                number,
                number / 167,
                {
                    "loss": round(1.31 + decay + wobble, 4),
                    "grad_norm": round(1.1 + wobble * 4, 3),
                    "learning_rate": round(2e-4 * (1 - number / 500), 8),
                },
            ),
            pid,
            rank,
        )
    return log


def memory(log: Log, pid: int = PID, rank: int | None = None) -> Log:
    log.say(
        ev.MemorySampled(
            "mps:0",
            17_600_000_000,
            19_200_000_000,
            18_900_000_000,
            3_100_000_000,
            47_700_000_000,
            38_654_705_664,
            "backward",
        ),
        pid,
        rank,
    )
    return log.say(
        ev.LedgerMeasured(
            2, 87_293_952, 16_381_470_720, 87_293_952, 174_587_904, 174_587_904, 2_016
        ),
        pid,
        rank,
    )


def host(log: Log) -> Log:
    return log.say(
        ev.HostSampled(
            96.0,
            21.0,
            12,
            38_654_705_664,
            12_400_000_000,
            25_100_000_000,
            21_000_000_000,
            0,
            0.0,
            88_000_000_000,
            3,
        )
    )


def warn(
    log: Log,
    key: str,
    severity: str,
    text: str,
    why: str,
    do: str,
    count: int = 1,
    **more: object,
) -> Log:
    return log.say(
        ev.WarningTriaged(
            key=key,
            rule=key,
            severity=severity,
            text=text,
            why=why,
            do=do,
            count=count,
            source="logging",
            **more,  # type: ignore[arg-type]
        )
    )


def common_warnings(log: Log) -> Log:
    warn(
        log,
        "generation-flags",
        "harmless",
        "generation flags are not valid and may be ignored: ['temperature', 'top_p']",
        "do_sample is off, so sampling settings have no effect.",
        "Nothing, or remove them from the generation config.",
        4,
        phase="load",
        origin="transformers.generation",
    )
    warn(
        log,
        "torch-dtype",
        "cleanup",
        "`torch_dtype` is deprecated! Use `dtype` instead!",
        "The argument was renamed; the old name works today.",
        "Write dtype= instead of torch_dtype=.",
        1,
        phase="load",
        origin="train.py:31",
    )
    return warn(
        log,
        "mps-fallback",
        "attention",
        "The operator 'aten::isin' is not supported on MPS and runs on the CPU.",
        "Each call copies tensors to the CPU and back, which slows the step.",
        "Update torch, or avoid the operator in the loss.",
        143,
        first_step=1,
        last_step=143,
        phase="forward",
        origin="torch/_tensor.py:1034",
        evidence="12 % of the step",
    )


def sampled(log: Log, step_: int, id_: int = 1) -> Log:
    """A generation that has ended."""
    log.say(ev.GenerationBegan(id_, 57, 256, 1, step_))
    log.wait(31.0)
    log.say(
        ev.GenerationEnded(
            id_,
            3.2,
            171,
            31.0,
            6.12,
            0.16,
            hit_cap=False,
            max_new_tokens=256,
            inter_token_s=0.163,
            use_cache=True,
            rows=1,
            rows_at_cap=0,
        )
    )
    return log.say(ev.PhaseEnded("generate", 31.0, step=step_))


def probes(log: Log, pid: int = PID, rank: int | None = None) -> Log:
    return log.say(ev.ProbeCounted(1_900, 0, 0, 0.00002), pid, rank)


def trained(last: int = 143) -> Log:
    """A LoRA run on a Mac after `last` steps."""
    log = loaded(started())
    for number in range(1, last + 1):
        step(log, number)
        if number == 2:
            memory(host(log))
        if number == 100:
            log.wait(0.8).say(ev.PhaseEnded("save", 0.8, step=100, bytes=330_000_000))
            log.say(ev.CheckpointSaved("out/checkpoint-100", 100, 0.8, 330_000_000))
            sampled(log, 100)
    common_warnings(log)
    probes(log)
    return memory(host(log))


def in_backward(log: Log, step_: int = 144, seconds: float = 2.1) -> Log:
    """`seconds` into the second backward of a step."""
    log.wait(1.7 + seconds)
    return log.say(
        ev.PhaseObserved(PID, "backward", log.now - seconds, step_ - 1, micro_step=2)
    )


CONSOLE = (
    "loading Qwen3-8B in bfloat16 on mps",
    "trainable params: 43,646,976 || all params: 8,190,735,360 || trainable%: 0.5329",
    "{'loss': 1.517, 'grad_norm': 1.18, 'learning_rate': 0.00015, 'epoch': 0.75}",
    "{'loss': 1.508, 'grad_norm': 1.02, 'learning_rate': 0.000148, 'epoch': 0.78}",
    "{'loss': 1.499, 'grad_norm': 1.26, 'learning_rate': 0.000146, 'epoch': 0.81}",
    "{'loss': 1.502, 'grad_norm': 1.1, 'learning_rate': 0.000144, 'epoch': 0.84}",
    " 29%|███████████▍                            | 143/500 [10:31<26:02,  4.37s/it]",
)


# --- the scenes ---


def empty() -> RunView:
    """The first second: no probe has connected."""
    return started().view(age=0.6)


def live() -> RunView:
    """Step 144 of 500, in backward."""
    return in_backward(trained()).view(CONSOLE)


def stale() -> RunView:
    """Nothing has moved for six minutes."""
    return in_backward(trained()).view(CONSOLE, age=372)


def unsupervised() -> RunView:
    """The supervisor is gone; nobody can know more."""
    return in_backward(trained()).view(CONSOLE, age=95, supervised=False)


def ended() -> RunView:
    """All 500 steps, exit code 0."""
    log = trained(500)
    log.wait(0.8).say(ev.PhaseEnded("save", 0.8, step=500, bytes=330_000_000))
    log.say(ev.PhaseObserved(PID, "end", log.now, 500))
    log.say(ev.TrainingEnded(500)).wait(1.2)
    log.say(ev.ProcessLeft("exit")).say(ev.RunEnded("finished", 0))
    lines = (
        *CONSOLE[:-1],
        "{'train_runtime': '2231', 'train_loss': '1.42', 'epoch': '3.0'}",
        "saved to out",
    )
    return log.view(lines, age=720)


def out_of_memory() -> RunView:
    """Killed by its own allocator in the optimizer of the first step."""
    log = loaded(started())
    memory(host(log))
    log.wait(3.9).say(ev.PhaseObserved(PID, "optimizer", log.now - 0.4, 0))
    log.say(
        ev.ExceptionRaised(
            "RuntimeError",
            "MPS backend out of memory (MPS allocated: 24.31 GiB, other allocations: "
            "512.00 KiB, max allowed: 25.10 GiB). Tried to allocate 896.00 MiB.",
            "Traceback (most recent call last): ...",
            "optimizer",
            1,
        )
    )
    log.say(ev.ProcessLeft("exit"))
    death = memory_death(fold_all(log.events), "failed", 1, Rise(readable=True))
    assert death is not None
    log.say(death).say(ev.RunEnded("failed", 1))
    return log.view(CONSOLE[:2], age=40)


def serious() -> RunView:
    """Nothing is being trained, and a warning says so; a finding stands."""
    log = trained()
    warn(
        log,
        "no-grad",
        "serious",
        "None of the inputs have requires_grad=True. Gradients will be None",
        "Gradient checkpointing cut the graph: the adapter gets no gradient.",
        "Call model.enable_input_require_grads() before training.",
        286,
        first_step=1,
        last_step=143,
        phase="forward",
        origin="torch/utils/checkpoint.py:86",
        evidence="grad_norm is 0 since step 1",
        ranks=[0],
    )
    warn(
        log,
        "unknown",
        "unclassified",
        "fused_rope: falling back to the slow path (head_dim=96)",
        "No rule knows this warning.",
        "",
        2,
        phase="forward",
        origin="kernels.rope",
    )
    log.say(
        ev.FindingRaised(
            "zero-gradients",
            "serious",
            "numeric",
            "grad_norm is 0 since step 1: nothing is being trained",
            ["grad_norm 0.0 in 28 of 28 logs", "loss 2.31 to 2.31"],
            "call model.enable_input_require_grads(), then start again",
        )
    )
    return in_backward(log).view(CONSOLE)


def reviewed() -> RunView:
    """Warnings that are new, known, changed by evidence and by the user."""
    log = common_warnings(trained())
    good: dict[str, object] = {"good_run": "20260527-a", "new": False}
    warn(
        log,
        "numeric.no-gradient-input",
        "serious",
        "None of the inputs have requires_grad=True. Gradients will be None",
        "A checkpointed block got inputs that need no gradient.",
        "Call model.enable_input_require_grads() before training.",
        286,
        kind="numeric",
        first_step=1,
        last_step=143,
        phase="forward",
        origin="/v/lib/python3.11/site-packages/torch/utils/checkpoint.py:86",
        evidence="grad_norm is 0 in the last 28 of 28 logs: nothing is learned",
        was="attention",
        by="evidence",
        ranks=[0, 1],
        new=True,
        good_run="20260527-a",
    )
    warn(
        log,
        "metrics.adapter-idle",
        "serious",
        "the adapter changes nothing: no gradient arrives",
        "The loss does not reach what is trainable.",
        "With gradient checkpointing call model.enable_input_require_grads().",
        28,
        kind="numeric",
        evidence="heuristic: grad_norm is 0 in 28 logs in a row (steps 5 to 140)",
        **good,
    )
    warn(
        log,
        "data.tokenizer",
        "attention",
        "The tokenizer has new PAD/BOS/EOS tokens that differ from the model config",
        "Padding and the end of a text are other tokens than the model knew.",
        "Print tokenizer.eos_token and model.config.eos_token_id.",
        logger="trl.trainer.sft_trainer",
        origin="trl/trainer/sft_trainer.py:812",
        **good,
    )
    warn(
        log,
        "text:odd",
        "unclassified",
        "fused_rope: falling back to the slow path (head_dim=96)",
        "No rule knows this warning yet, so it is shown and not called harmless.",
        "Read it once; when you know what it means, mark it.",
        2,
        logger="kernels.rope",
        new=True,
        good_run="20260527-a",
    )
    view = in_backward(log).view(CONSOLE)
    marks = {
        "data.tokenizer": Mark("data.tokenizer", known=True),
        "metrics.adapter-idle": Mark("metrics.adapter-idle", "harmless"),
    }
    warnings = apply(view.state.warnings, marks)
    return replace(view, state=replace(view.state, warnings=warnings))


def two_ranks() -> RunView:
    """Rank 1 is six steps behind."""
    log = started()
    loaded(log, PID, 0, 2)
    loaded(log, PID + 1, 1, 2)
    for number in range(1, 41):
        step(log, number, PID, 0)
    behind = Log(now=log.now - 34 * 4.4, events=log.events)
    for number in range(1, 35):
        step(behind, number, PID + 1, 1, slower=0.02)
    memory(memory(host(log), PID, 0), PID + 1, 1)
    log.wait(8)
    log.say(ev.PhaseObserved(PID, "backward", log.now - 7.0, 40, 2))
    log.say(ev.PhaseObserved(PID + 1, "fetch", log.now - 7.5, 34))
    probes(probes(log, PID, 0), PID + 1, 1)
    return log.view(CONSOLE[:2])


def generating() -> RunView:
    """A sample of 1,312 tokens so far, at most 8,192."""
    log = trained()
    log.wait(0.5).say(ev.GenerationBegan(2, 3_900, 8_192, 1, 143))
    log.wait(41.0).say(ev.PhaseObserved(PID, "prefill", log.now - 41.0, 143, tokens=0))
    log.say(ev.PhaseObserved(PID, "decode", log.now, 143, tokens=1))
    log.wait(215.0)
    log.say(
        ev.GenerationAdvanced(
            2, 1_308, 8_192, 41.0, 0.158, 0.162, 0.159, 0.165, use_cache=True
        )
    )
    log.say(
        ev.PhaseObserved(PID, "decode", log.now - 215.0, 143, tokens=1_312, total=8_192)
    )
    return log.view(CONSOLE)


def mapping() -> RunView:
    """A quarter of a dataset is tokenized."""
    log = started()
    log.say(ev.ProcessJoined(argv=ARGV, role="other"))
    log.wait(6.1).say(ev.LibraryImported("torch", "2.13.0", 6.1))
    began = log.now
    for rows in range(0, 12_400, 3_100):
        log.wait(1.0).say(
            ev.PhaseObserved(
                PID,
                "data",
                began,
                rows=rows,
                total=48_000,
                detail="Tokenizing train dataset",
            )
        )
    return log.view(CONSOLE[:1], age=0.3)


def saving() -> RunView:
    """The first checkpoint of a full fine-tuning, under way."""
    log = trained(100)
    log.wait(0.2)
    began = log.now
    for second in range(1, 9):
        log.wait(1.0).say(
            ev.PhaseObserved(
                PID,
                "save",
                began,
                100,
                0,
                bytes=412_000_000 * second,
                total=7_100_000_000,
                detail="checkpoint-100",
                total_by="weights and optimizer state",
            )
        )
    return log.view(CONSOLE, age=0.2)


def partial() -> RunView:
    """The last layer of Llama-3 8B is trained: 2.7 %, and no small bill."""
    log = loaded(started())
    trained = 218_112_000
    log.say(
        ev.ModelDescribed(
            "LlamaForCausalLM",
            8_030_261_248,
            trained,
            2 * trained,
            15_624_298_496,
            {"torch.bfloat16": 8_030_261_248},
            {"mps:0": 8_030_261_248},
            851_968,
            ["k_proj", "o_proj", "q_proj", "v_proj"],
        )
    )
    for number in (1, 2):
        step(log, number)
    memory(host(log))
    log.say(
        ev.LedgerMeasured(
            2, 2 * trained, 15_624_298_496, 2 * trained, 2 * trained, 2 * trained, 36
        )
    )
    return log.view(CONSOLE, age=0.2)


def on_cuda() -> RunView:
    """A device with a clock of its own: every tenth step is sampled."""
    log = loaded(started())
    log.say(
        ev.ModelDescribed(
            "Qwen3ForCausalLM",
            8_190_735_360,
            43_646_976,
            dtypes={"torch.bfloat16": 8_190_735_360},
            devices={"cuda:0": 8_190_735_360},
        )
    )
    for number in range(1, 41):
        log.wait(0.61).say(
            ev.StepEnded(
                step=number,
                micro_steps=2,
                seconds=0.61,
                phases={
                    "fetch": [2, 0.012],
                    "forward": [2, 0.032],
                    "loss": [2, 0.003],
                    "backward": [2, 0.541],
                    "clip": [1, 0.009],
                    "optimizer": [1, 0.006],
                    "other": [1, 0.007],
                },
                tokens=1024,
            )
        )
        if number in (2, 5, 8, 18, 28, 38):
            log.say(
                ev.DeviceTimed(
                    step=number,
                    seconds=0.607,
                    phases={
                        "fetch": 0.011,
                        "forward": 0.193,
                        "loss": 0.021,
                        "backward": 0.352,
                        "clip": 0.008,
                        "optimizer": 0.019,
                        "other": 0.003,
                    },
                    sampled=(2, 5, 8, 18, 28, 38).index(number) + 1,
                    steps=number + 1,
                    kind="cuda events on cuda:0",
                )
            )
    probes(log)
    return log.view(CONSOLE[:2], age=0.3)


def own_phases() -> RunView:
    """Preference tuning with a reference, in a loop that names its own phases."""
    log = trained(12)
    log.wait(40.0).say(ev.PhaseEnded("compile", 40.0, step=12))
    log.say(ev.PhaseEnded("custom", 7.0, step=12, detail="judge the answers"))
    seconds = {
        **dict.fromkeys(("fetch", "clip"), 0.01),
        **dict.fromkeys(("loss", "optimizer"), 0.3),
        **{"forward": 1.5, "backward": 2.2, "reference": 1.1, "other": 0.05},
        **{"rollout": 6.4, "reward [bold]": 0.8},
    }
    phases = {name: [1.0, each] for name, each in seconds.items()}
    log.wait(13.0).say(ev.StepEnded(13, seconds=12.67, phases=phases))
    log.wait(5.0).say(
        ev.PhaseObserved(PID, "custom", log.now - 4.8, 13, detail="rollout")
    )
    return log.view(CONSOLE)


def snapshotting() -> RunView:
    """A snapshot under way."""
    log = trained()
    log.say(ev.CommandAsked("c1", "snapshot", "waiting for the step boundary"))
    log.wait(3).say(
        ev.CommandProgressed("c1", "saving checkpoint-143: 210 of about 330 MB")
    )
    return in_backward(log).view(CONSOLE)


def aborting() -> RunView:
    """An abort that waits for a save."""
    log = trained()
    log.say(ev.CommandAsked("c1", "abort", "step"))
    log.say(
        ev.PhaseObserved(
            PID, "save", log.now, 143, detail="checkpoint-143", bytes=210_000_000
        )
    )
    log.wait(3).say(
        ev.CommandProgressed(
            "c1",
            "rung 1 of 4, finish the step and save: saving checkpoint-143, 210 MB of "
            "about 330 MB, 2 s left; another abort waits for it, only kill does not",
            "step",
        )
    )
    return log.view(CONSOLE)


def resumed() -> RunView:
    """Goes on from a checkpoint, and skips the batches that were seen before."""
    log = loaded(started())
    log.say(
        ev.TrainingResumed(
            "out/checkpoint-100",
            100,
            optimizer=True,
            scheduler=True,
            random=True,
            rate_before=8.2e-5,
            rate_step=100,
            rate_after=8.18e-5,
            skips=True,
        )
    )
    log.wait(2).say(ev.PhaseEnded("skip", 2.0, rows=800))
    step(log, 101)
    return memory(host(log)).view(CONSOLE)


def resumed_without() -> RunView:
    """Goes on from weights alone."""
    log = loaded(started())
    log.say(
        ev.TrainingResumed(
            "out/checkpoint-100",
            100,
            optimizer=False,
            scheduler=False,
            random=False,
            rate_before=8.2e-5,
            rate_step=100,
            rate_after=2e-4,
            skips=True,
        )
    )
    step(log, 101)
    return memory(host(log)).view(CONSOLE)


def slow() -> RunView:
    """The steps grew, and it is backward that did."""
    log = trained()
    for number in range(144, 161):
        step(log, number, slower=6.0)
    return in_backward(memory(host(log)), 161).view(CONSOLE)


def adopted() -> RunView:
    """It was running before we came: seen from outside only."""
    log = Log()
    log.say(
        ev.RunStarted(
            "20260528-train", "train", ARGV, "/home/ada/docs", False, False, True
        )
    )
    log.wait(0.3).say(ev.SupervisorStarted(supervisor=4000, keeper=0))
    log.wait(0.1).say(ev.ChildSpawned(child=PID))
    return host(log.wait(30)).view()


def hostile() -> RunView:
    """A program whose output and warnings try to draw on our screen."""
    log = trained()
    warn(
        log,
        "hostile",
        "attention",
        "[bold red]not markup[/] \x1b[2J\x1b[31mred\x1b]0;title\x07 \u202eright",
        "why [link=x]",
        "do \x1b[5A",
    )
    lines = (
        "[bold red]literal markup[/bold red] [/] [@click=app.quit]x[/]",
        "\x1b[2J\x1b[H\x1b]52;c;aGk=\x07clear \x9b31m\x07bell\ttab",
        "\u202eright to left\u202c \u200bzero width",
    )
    return in_backward(log).view(lines)


SUMMARIES = (
    RunSummary(
        "20260528-sft",
        NAME,
        FOLDER,
        "python train.py --model Qwen3-8B --lr 2e-4",
        "running",
        T0 - 700,
        None,
        143,
        500,
        "working",
        "/runs",
    ),
    RunSummary(
        "20260527-dpo",
        "dpo-tone",
        Path("/runs/20260527-dpo"),
        "accelerate launch dpo.py --beta 0.1",
        "running",
        T0 - 5_400,
        None,
        61,
        900,
        "stuck",
        "/runs",
    ),
    RunSummary(
        "20260527-a",
        "sft-lr-1e-3",
        Path("/runs/20260527-a"),
        "python train.py --lr 1e-3",
        "failed",
        T0 - 86_400,
        T0 - 86_100,
        1,
        500,
        "failed",
        "/runs",
    ),
    RunSummary(
        "20260526-b",
        "sft-first",
        Path("/runs/20260526-b"),
        "python train.py",
        "finished",
        T0 - 180_000,
        T0 - 171_000,
        500,
        500,
        "finished",
        "/runs",
    ),
    RunSummary(
        "20260525-c",
        "plain-loop",
        Path("/runs/20260525-c"),
        "python loop.py",
        "lost",
        T0 - 300_000,
        None,
        77,
        None,
        "lost",
        "/runs",
    ),
)
DEMOS = (
    ("lora", "LoRA fine-tuning of a tiny model, 60 steps, on the CPU"),
    ("dpo", "Preference tuning with TRL"),
    ("oom", "Runs out of memory in the optimizer"),
    ("nan", "The loss becomes nan at step 12"),
)


@dataclass
class FakeFeed:
    """Always the same look at a run."""

    look: RunView
    closed: bool = False

    def read(self, budget_s: float = 0.05) -> RunView:
        return self.look

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeHands:
    """Writes down what is asked of it."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    outcome: Outcome = Outcome(True, "done", "as asked")

    def abort(self, folder: Path, how: str) -> Outcome:
        self.calls.append(("abort", folder, how))
        return self.outcome

    def snapshot(self, folder: Path, again: bool = False) -> Outcome:
        self.calls.append(("snapshot", folder, *(["again"] if again else [])))
        return self.outcome

    def stack(self, folder: Path) -> Outcome:
        self.calls.append(("stack", folder))
        return self.outcome

    def type_text(self, folder: Path, data: bytes) -> Outcome:
        self.calls.append(("type", folder, data))
        return self.outcome

    def hand_over(self, folder: Path) -> Outcome:
        self.calls.append(("hand over", folder))
        return self.outcome

    def mark(self, mark: Mark) -> Outcome:
        self.calls.append(("mark", mark))
        return self.outcome

    def export(self, state: RunState, path: Path) -> Outcome:
        self.calls.append(("export", state.run.id, path))
        return self.outcome


@dataclass
class FakeCatalog:
    """Runs and demos that are always there."""

    summaries: tuple[RunSummary, ...] = SUMMARIES
    launched: list[tuple[str, ...]] = field(default_factory=list)
    changed: list[tuple[object, ...]] = field(default_factory=list)
    error: Exception | None = None

    def runs(self) -> tuple[RunSummary, ...]:
        return self.summaries

    def rename(self, folder: Path, name: str) -> str:
        if self.error is not None:
            raise self.error
        self.changed.append(("rename", folder, name))
        return name

    def remove(self, folder: Path) -> int:
        if self.error is not None:
            raise self.error
        self.changed.append(("remove", folder))
        return 1_000_000

    def surplus(self, keep: int) -> list[Path]:
        over = [run.folder for run in self.summaries if run.ended is not None]
        return over[keep:][::-1]

    def launch(self, command: str, cwd: str) -> Path:
        if self.error is not None:
            raise self.error
        self.launched.append((command, cwd))
        return FOLDER

    def demos(self) -> tuple[tuple[str, str], ...]:
        return DEMOS

    def check_fit(self, words: str, cwd: str) -> str:
        if self.error is not None:
            raise self.error
        return f"{words}: peak 27.7 GiB in backward of step 2"

    def launch_demo(self, name: str) -> Path:
        if self.error is not None:
            raise self.error
        self.launched.append((name,))
        return FOLDER
