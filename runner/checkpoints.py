"""
The user's checkpoints on the disk: which there are, whole or not, resumable or not.

Watchdog says that something in the output folder changed; `inspect` looks.
What it calls complete is a reading of files, not a trial load: every weights
file named by an index is there, safetensors headers agree with their sizes, and
no marker of an unfinished save is left.
"""

from __future__ import annotations

import json
import re
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from trainwatch.probes import events as ev

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


def inspect(folder: Path) -> ev.CheckpointSeen:
    """
    What lies in a checkpoint folder.

    Raises:
        OSError: it went away meanwhile (save_total_limit).
    """
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
    match = NAME.match(folder.name)
    problems = list(_problems(folder, files))
    whole = None if not files else not problems
    resumable = None
    if whole and TRAINER_STATE not in files and not _has_model(files):
        problems = ["the script's own format: only it can tell whether it resumes"]
    elif whole:
        missing = _missing_for_resume(files)
        resumable = not missing
        problems = [f"not resumable: {', '.join(missing)} missing"] if missing else []
    return ev.CheckpointSeen(
        path=str(folder),
        step=int(match.group(1)) if match else None,
        bytes=sum(files.values()),
        complete=whole,
        resumable=resumable,
        detail="; ".join(problems),
    )


def _problems(folder: Path, files: dict[str, int]) -> Iterable[str]:
    if MARKER in files:
        yield f"{MARKER} is there: the save did not finish"
    for name in files:
        if name.endswith((".tmp", ".part")):
            yield f"{name} is unfinished"
    weights = [name for name in files if name.endswith((".safetensors", ".bin", ".pt"))]
    for index in INDEXES:
        if index in files:
            shards = json.loads((folder / index).read_bytes())["weight_map"].values()
            for shard in sorted(set(shards) - files.keys()):
                yield f"{shard} is missing"
    if not weights:
        yield "no weights yet"
    for name in files:
        if name.endswith(".safetensors"):
            problem = safetensors_problem(folder / name)
            if problem:
                yield f"{name}: {problem}"
        elif files[name] == 0 and name.endswith((".bin", ".pt", ".pth")):
            yield f"{name} is empty"


def safetensors_problem(path: Path) -> str | None:
    """
    What is wrong with a safetensors file, or None: its header must be JSON and
    its tensors must end exactly where the file ends (format: an 8-byte
    little-endian header length, the header, the data).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return "no header"
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, 100_000_000):
            return "header cut short"
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return "header is not JSON"
    ends = [
        entry["data_offsets"][1]
        for name, entry in header.items()
        if name != "__metadata__"
    ]
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        return f"{size} bytes, its header says {expected}"
    return None


def _has_model(files: dict[str, int]) -> bool:
    return bool(files.keys() & {*WEIGHTS, *INDEXES})


def _missing_for_resume(files: dict[str, int]) -> list[str]:
    names = {Path(name).name for name in files}
    wanted = {
        TRAINER_STATE: {TRAINER_STATE},
        "optimizer state": {"optimizer.pt", "optimizer.bin", "optim_states.pt"},
        "scheduler state": {"scheduler.pt"},
    }
    missing = [what for what, any_of in wanted.items() if not names & any_of]
    if not any(name.startswith("rng_state") for name in names):
        missing.append("random state")
    return missing


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

    def watch(self, folder: Path) -> None:
        """Watch `folder`, once it exists; what it holds already is not news."""
        folder = folder.absolute()
        if folder not in self._asked:
            self._asked.add(folder)
            self._known.update(_checkpoints(folder))

    def on_any_event(self, event: FileSystemEvent) -> None:
        for name in (event.src_path, event.dest_path):
            folder = folder_of(Path(str(name))) if name else None
            if folder is not None:
                with self._lock:
                    self._touched[folder] = time.monotonic()

    def changed(self, mono: float, everything: bool = False) -> list[ev.CheckpointSeen]:
        """
        Checkpoints that changed and have been still for a second.

        Args:
            everything: do not wait for that second (the run is over).
        """
        self._begin()
        with self._lock:
            still = [
                path
                for path, when in self._touched.items()
                if everything or mono - when > SETTLED_S
            ]
            for path in still:
                del self._touched[path]
        bodies = []
        for path in still:
            if not path.is_dir():
                continue
            try:
                body = inspect(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if self._told.get(path) != body:
                self._told[path] = body
                bodies.append(body)
        return bodies

    def close(self) -> None:
        if self._started:
            self._observer.stop()

    def _begin(self) -> None:
        for folder in self._asked - self._watched:
            if not folder.is_dir():
                continue
            self._watched.add(folder)
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
