"""
The user's checkpoints on the disk: which there are, whole or not, resumable or not.

Watchdog says that something in the output folder changed; `inspect` looks.
What it calls complete is a reading of files, not a trial load: every weights
file named by an index is there, headers and directories of tensor files agree with
their sizes, and no marker of an unfinished save is left.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from trainwatch.probes import events as ev
from trainwatch.runner import tensors
from trainwatch.runner.breadth import too_wide
from trainwatch.runner.files import complain
from trainwatch.runner.salvage import REMOVED

NAME = re.compile(r"^(?:checkpoint|global_step|step|epoch)[-_]?(\d+)$")
MARKER = "checkpoint-is-incomplete.txt"
"""transformers 5 leaves it while its signal-time checkpoint is being written."""
WEIGHTS = (
    "model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin",
    "adapter_model.bin",
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
TRAINER_STATE = "trainer_state.json"
TRAINER_ONLY = "training_args.bin"
"""Only a Trainer writes it, beside the weights."""
BESIDE = (
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    TRAINER_ONLY,
)
"""Files of tensors that are not weights begin so."""
SETTLED_S = 1.0


def folder_of(path: Path) -> Path | None:
    """
    The checkpoint folder that `path` is or lies in; None for any other file, such
    as a model saved before training.
    """
    for folder in (path, *path.parents):
        if NAME.match(folder.name):
            return folder
    return None


def inspect(
    folder: Path, *, deep: bool = False, by_trainer: bool = False
) -> ev.CheckpointSeen:
    """
    What lies in a checkpoint folder.

    Args:
        folder: the checkpoint.
        deep: read every byte of weights and states, and compare checksums.
        by_trainer: the Trainer of transformers writes here, and `trainer_state.json`
            last of all.

    Raises:
        OSError: it went away meanwhile (save_total_limit).
    """
    files, written = {}, 0.0
    for path in folder.rglob("*"):
        if path.is_file():
            stat = path.stat()
            files[path.relative_to(folder).as_posix()] = stat.st_size
            written = max(written, stat.st_mtime)
    match = NAME.match(folder.name)
    problems = list(_problems(folder, files, deep))
    if (by_trainer or TRAINER_ONLY in files) and TRAINER_STATE not in files and files:
        problems.append(f"{TRAINER_STATE}, which is written last, is missing")
    whole = None if not files else not problems
    resumable = None
    if whole and TRAINER_STATE not in files and not _only_weights(files):
        problems = ["the script's own format: only it can tell whether it resumes"]
    elif whole:
        missing = missing_for_resume(files)
        resumable = not missing
        problems = [f"not resumable: {', '.join(missing)} missing"] if missing else []
        if _only_weights(files):
            problems = ["not resumable: weights only"]
    return ev.CheckpointSeen(
        path=str(folder),
        step=int(match.group(1)) if match else None,
        bytes=sum(files.values()),
        complete=whole,
        resumable=resumable,
        detail="; ".join(problems),
        written=round(written, 3) or None,
    )


def _problems(folder: Path, files: dict[str, int], deep: bool) -> Iterable[str]:
    if MARKER in files:
        yield f"{MARKER} is there: the save did not finish"
    for name in files:
        base = Path(name).name
        if base.endswith((".tmp", ".part")) or base.startswith(".tmp"):
            yield f"{name} is unfinished"
    for index in INDEXES:
        if index in files:
            try:
                shards = json.loads((folder / index).read_bytes())["weight_map"]
                missing = sorted(set(shards.values()) - files.keys())
            except (ValueError, KeyError, TypeError, AttributeError):
                yield f"{index} is not readable"
                continue
            for shard in missing:
                yield f"{shard} is missing"
    if not any(_holds_weights(name) for name in files):
        yield "no weights yet"
    for name in files:
        problem = tensors.problem(folder / name, deep=deep)
        if problem:
            yield f"{name}: {problem}"


def _holds_weights(name: str) -> bool:
    base = Path(name).name
    return base.endswith((".safetensors", ".bin", ".pt", ".pth", ".distcp")) and (
        not base.startswith(BESIDE)
    )


def _only_weights(files: Iterable[str]) -> bool:
    """Weights in a known format, and no state of an optimizer or a script."""
    names = {Path(name).name for name in files}
    states = [
        name
        for name in names - {*WEIGHTS, TRAINER_ONLY}
        if name.endswith((*tensors.ARCHIVES, ".pkl"))
        and not name.startswith("pytorch_model")
    ]
    return bool(names & {*WEIGHTS, *INDEXES}) and not states


def missing_for_resume(files: Iterable[str]) -> list[str]:
    """What a Trainer restores from a checkpoint that is not among `files`."""
    names = {Path(name).name for name in files}
    parts = {part for name in files for part in Path(name).parts}
    wanted = {
        TRAINER_STATE: TRAINER_STATE in names,
        "optimizer state": any(part.startswith("optimizer") for part in parts)
        or any(name.endswith("optim_states.pt") for name in names),
        "scheduler state": "scheduler.pt" in names,
        "random state": any(name.startswith("rng_state") for name in names),
    }
    return [what for what, there in wanted.items() if not there]


class CheckpointWatcher(FileSystemEventHandler):
    """
    Watches output folders; `changed` looks at what has settled.

    Watchdog's thread only notes names; all reading happens in `changed`.
    """

    def __init__(self) -> None:
        self._observer = Observer()
        self._observer.daemon = True
        self._started = False
        self._lock = threading.Lock()
        self._touched: dict[Path, float] = {}
        self._told: dict[Path, ev.CheckpointSeen] = {}
        self._watched: set[Path] = set()
        self._asked: set[Path] = set()
        self._known: set[Path] = set()
        self._trainers: set[Path] = set()

    def watch(self, folder: Path, *, by_trainer: bool = False) -> None:
        """
        Watch `folder`, once it exists; what it holds already is not news.

        Args:
            folder: where checkpoints are written.
            by_trainer: as for `inspect`.
        """
        folder = folder.absolute()
        if "\0" in str(folder):
            return  # No name of a file, whoever said it.
        if by_trainer:
            self._trainers.add(folder)
        if folder not in self._asked:
            self._asked.add(folder)
            self._known.update(_checkpoints(folder))

    def on_any_event(self, event: FileSystemEvent) -> None:
        for name in (event.src_path, event.dest_path):
            folder = folder_of(Path(str(name))) if name else None
            if folder is not None:
                with self._lock:
                    self._touched[folder] = time.monotonic()

    def changed(
        self,
        mono: float,
        everything: bool = False,
        under_way: Collection[Path] = (),
    ) -> list[ev.CheckpointSeen]:
        """
        Checkpoints that changed and have been still for a second.

        Args:
            mono: now.
            everything: do not wait for that second (the run is over), and look at
                all that the watched folders hold.
            under_way: what is being written now: not looked at yet.
        """
        self._begin()
        found = set()
        if everything:
            found = {p for folder in self._asked for p in _checkpoints(folder)}
        with self._lock:
            still = found - self._known | {
                path
                for path, when in self._touched.items()
                if everything or (mono - when > SETTLED_S and path not in under_way)
            }
            for path in still:
                self._touched.pop(path, None)
        bodies = []
        for path in still:
            if not path.is_dir():
                before = self._told.pop(path, None)
                if before is not None:
                    gone = ev.CheckpointSeen(before.path, before.step, detail=REMOVED)
                    bodies.append(replace(gone, disk_free=_free(path.parent)))
                continue
            free = _free(path.parent)
            try:
                body = inspect(path, by_trainer=path.parent in self._trainers)
            except OSError:
                continue
            if self._told.get(path) != body:
                self._told[path] = body
                bodies.append(replace(body, disk_free=free))
        return sorted(bodies, key=lambda body: body.written or 0.0)

    def close(self) -> None:
        if self._started:
            self._observer.stop()

    def _begin(self) -> None:
        for folder in self._asked - self._watched:
            if not folder.is_dir():
                continue
            self._watched.add(folder)
            if too_wide(folder):
                complain(f"{folder} holds too many folders to be watched")
                continue  # `CheckpointSaved` still comes.
            try:
                self._observer.schedule(self, str(folder), recursive=True)
                if not self._started:
                    self._observer.start()
                    self._started = True
            except OSError:
                continue  # Out of inotify watches: `CheckpointSaved` still comes.
            # Made between our question and the watch.
            for path in _checkpoints(folder) - self._known:
                with self._lock:
                    self._touched.setdefault(path, time.monotonic())


def _checkpoints(folder: Path) -> set[Path]:
    try:
        return {p for p in folder.iterdir() if NAME.match(p.name) and p.is_dir()}
    except OSError:
        return set()


def _free(folder: Path) -> int | None:
    """Free bytes of its file system; None where it is gone."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
